# SPDX-License-Identifier: Apache-2.0
"""What Celery itself knows of a task whose end was not reported.

Asked in this order, the surest first: this worker's memory, the result backend, and where the broker is a Redis, its lists.
"""

from __future__ import annotations

from typing import Any

from celery.worker import state as worker_state

from z4j_agent.adapter import Unsupported
from z4j_celery import redis_lists
from z4j_celery.waiting import driver_of

STATES = {"SUCCESS": "succeeded", "FAILURE": "failed", "REVOKED": "cancelled"}


def lookup_task(apps: list[tuple[Any, list[str]]], consumer: Any, task_id: str) -> dict[str, Any]:
    """`apps` come with the queues of theirs that are known here.

    Returns {"state": succeeded, failed, cancelled, queued, running or unknown; "engine_state": Celery's word}.

    PENDING means that the backend does not know the id; RETRY after a cold shutdown may be final, so both are unknown unless the
    message is found. Raises Unsupported when nobody can be asked, and whatever backend and broker raise.
    """
    held = worker_state.requests.get(task_id) if consumer is not None else None
    if held is not None:
        is_running = any(request.id == task_id for request in tuple(worker_state.active_requests))
        return {"state": "running" if is_running else "queued", "engine_state": "held by this worker"}
    said: list[str] = []
    for app, queues in apps:
        state = _of_backend(app, task_id)
        if state in STATES:
            return {"state": STATES[state], "engine_state": state}
        is_waiting = _is_waiting(app, queues, task_id)
        if is_waiting:
            return {"state": "queued", "engine_state": state or "in the broker"}
        if state or is_waiting is not None:
            said.append(state or "not in the queues that are known here")
    if not said:
        raise Unsupported("this app keeps no results that can be asked for, and its broker cannot be searched")
    return {"state": "unknown", "engine_state": said[0]}


def _of_backend(app: Any, task_id: str) -> str:
    """The state the backend has; "" where it keeps none, or is rpc://: asking that takes the result from whoever waits for it."""
    backend = app.backend
    if type(backend).__name__ in ("DisabledBackend", "RPCBackend"):
        return ""
    return str(backend.get_task_meta(task_id).get("status", "PENDING"))


def _is_waiting(app: Any, queues: list[str], task_id: str) -> bool | None:
    """Whether the task's message is in one of these queues or in a worker's hands; None where the broker cannot be searched for it, or
    not wholly."""
    if driver_of(app) != "redis":
        return None
    with redis_lists.open_place(app) as place:
        return place.holds(task_id, queues)
