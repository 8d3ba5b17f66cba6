# SPDX-License-Identifier: AGPL-3.0-or-later
"""Computes tasks from events. Pure."""
