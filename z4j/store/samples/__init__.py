# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads a bounded number of the newest tasks, where sums do not know enough."""
