# SPDX-License-Identifier: AGPL-3.0-or-later
"""The schedule list, one schedule, its form and the calendar."""
