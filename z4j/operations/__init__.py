# SPDX-License-Identifier: AGPL-3.0-or-later
"""What people and the clock do: commands, plans, schedules."""
