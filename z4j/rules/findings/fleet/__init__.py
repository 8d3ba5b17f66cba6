# SPDX-License-Identifier: AGPL-3.0-or-later
"""Findings of processes: workers that are silent, stuck, killed or different, and agents with gaps in their reports."""
