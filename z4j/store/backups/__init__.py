# SPDX-License-Identifier: AGPL-3.0-or-later
"""Backups: restoring one, and what it changes."""
