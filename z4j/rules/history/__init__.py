# SPDX-License-Identifier: AGPL-3.0-or-later
"""Decides what the history of a task name, a queue or a worker reads, and compares what fills a queue. Pure."""
