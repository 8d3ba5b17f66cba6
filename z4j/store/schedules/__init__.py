# SPDX-License-Identifier: AGPL-3.0-or-later
"""Schedules of every scheduler and their fires."""
