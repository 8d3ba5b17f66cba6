# SPDX-License-Identifier: AGPL-3.0-or-later
"""Evaluates the rules of findings periodically."""
