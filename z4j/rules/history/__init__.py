# SPDX-License-Identifier: AGPL-3.0-or-later
"""Chooses the sums that a history of a task name, queue or worker reads, and compares the sources of a queue. Pure."""
