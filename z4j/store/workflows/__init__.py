# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads the tasks that belong to one workflow."""
