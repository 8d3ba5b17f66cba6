# SPDX-License-Identifier: Apache-2.0
"""How much waits, asked of the storage without changing it."""

from __future__ import annotations

from typing import Any

from z4j_agent.adapter import QueueInfo

LOOKED_THROUGH = 5_000
"""Messages that are looked through for one task: Huey cannot be asked for an id."""


def list_queues(huey: Any) -> list[QueueInfo]:
    """One Huey object is one queue. Its messages do not say when they were put there."""
    return [QueueInfo(huey.name, int(huey.pending_count()))]


def is_waiting(huey: Any, task_id: str) -> bool:
    """Whether a task is among the first LOOKED_THROUGH of the queue or of the schedule."""
    return any(task.id == task_id for each in (huey.pending, huey.scheduled) for task in each(LOOKED_THROUGH))
