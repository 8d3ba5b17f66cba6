# SPDX-License-Identifier: AGPL-3.0-or-later
"""Finds what is wrong now, again and again."""
