# SPDX-License-Identifier: AGPL-3.0-or-later
"""Sums over tasks and queues per minute, hour and day."""
