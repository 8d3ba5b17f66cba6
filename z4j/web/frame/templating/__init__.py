# SPDX-License-Identifier: AGPL-3.0-or-later
"""Compilation of templates: escaping, and the smallest components as functions."""
