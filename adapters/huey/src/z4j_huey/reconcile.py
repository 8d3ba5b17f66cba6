# SPDX-License-Identifier: Apache-2.0
"""What Huey itself knows of a task whose end was not reported."""

from __future__ import annotations

from typing import Any

from huey.constants import EmptyData
from huey.utils import Error

from z4j_huey.queues import is_waiting


def lookup_task(huey: Any, task_id: str) -> dict[str, Any]:
    """Looks at the result without taking it: reading one the ordinary way would take it from whoever waits for it.

    A task that returned None, was read already, or is periodic leaves nothing: then Huey cannot know.
    """
    held = huey.get_raw(task_id, peek=True)
    if held is not EmptyData:
        is_error = isinstance(huey.serializer.deserialize(held), Error)
        return {"state": "failed" if is_error else "succeeded", "engine_state": "result"}
    if is_waiting(huey, task_id):
        return {"state": "queued", "engine_state": "pending"}
    return {"state": "unknown", "engine_state": "no result"}
