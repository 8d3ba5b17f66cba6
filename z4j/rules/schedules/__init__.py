# SPDX-License-Identifier: AGPL-3.0-or-later
"""When a schedule is due, what a scheduler can hold, and what a fire came to. Pure."""
