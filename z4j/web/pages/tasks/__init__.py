# SPDX-License-Identifier: AGPL-3.0-or-later
"""The task list, one task, and running a task by name."""
