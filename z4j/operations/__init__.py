# SPDX-License-Identifier: AGPL-3.0-or-later
"""What users and the clock start: commands, plans, schedules."""
