# SPDX-License-Identifier: AGPL-3.0-or-later
"""When a schedule is due, what a scheduler supports, and the state of each fire. Pure."""
