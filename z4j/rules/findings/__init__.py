# SPDX-License-Identifier: AGPL-3.0-or-later
"""Rules that report problems of tasks, queues, schedules, workers and the server, with their evidence. One pure rule in each file."""
