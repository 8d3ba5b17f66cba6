# SPDX-License-Identifier: Apache-2.0
"""What Celery itself knows of a task whose end was not reported.

Asked in this order, the surest first: this worker's memory, the result backend, and where the broker is a Redis, its lists.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any

from celery.worker import state as worker_state

from z4j_agent.adapter import Unsupported

STATES = {"SUCCESS": "succeeded", "FAILURE": "failed", "REVOKED": "cancelled"}
SCANNED_AT_MOST = 5_000
"""Messages of one list that are looked through: Redis has no access by id, and hands out other people's arguments with them."""
PAGE = 500


def lookup_task(apps: list[Any], consumer: Any, task_id: str) -> dict[str, Any]:
    """{"state": succeeded, failed, cancelled, queued, running or unknown; "engine_state": Celery's word}.

    PENDING means that the backend does not know the id; RETRY after a cold shutdown may be final, so both are unknown unless the
    message is found. Raises Unsupported when nobody can be asked, and whatever backend and broker raise.
    """
    held = worker_state.requests.get(task_id) if consumer is not None else None
    if held is not None:
        is_running = any(request.id == task_id for request in tuple(worker_state.active_requests))
        return {"state": "running" if is_running else "queued", "engine_state": "held by this worker"}
    said: list[str] = []
    for app in apps:
        state = _of_backend(app, task_id)
        if state in STATES:
            return {"state": STATES[state], "engine_state": state}
        is_waiting = _is_in_redis(app, task_id)
        if is_waiting:
            return {"state": "queued", "engine_state": state or "in the broker"}
        if state or is_waiting is not None:
            said.append(state or "not in the broker")
    if not said:
        raise Unsupported("this app keeps no results that can be asked for, and its broker cannot be searched")
    return {"state": "unknown", "engine_state": said[0]}


def _of_backend(app: Any, task_id: str) -> str:
    """The state the backend has; "" where it keeps none, or is rpc://: asking that takes the result from whoever waits for it."""
    backend = app.backend
    if type(backend).__name__ in ("DisabledBackend", "RPCBackend"):
        return ""
    return str(backend.get_task_meta(task_id).get("status", "PENDING"))


def _is_in_redis(app: Any, task_id: str) -> bool | None:
    """Whether the task's message waits in one of this app's lists or is in a worker's hands; None where the broker is no Redis."""
    with app.connection_for_write() as connection:
        if connection.transport.driver_type != "redis":
            return None
        channel = connection.default_channel
        keys = [channel._q_for_pri(name, step) for name in app.amqp.queues for step in channel.priority_steps]
        client, wanted = channel.client, task_id.encode()
        messages = itertools.chain(_listed(client, keys), (value for _, value in client.hscan_iter(channel.unacked_key, count=PAGE)))
        return any(_is_of(message, task_id) for message in messages if wanted in message)


def _listed(client: Any, keys: Iterable[str]) -> Iterator[bytes]:
    for key in keys:
        for start in range(0, SCANNED_AT_MOST, PAGE):
            page = client.lrange(key, start, start + PAGE - 1)
            yield from page
            if len(page) < PAGE:
                break


def _is_of(message: bytes, task_id: str) -> bool:
    """Another task's message may name this id, too, as its parent."""
    try:
        found = json.loads(message)
    except ValueError:
        return False  # not written by kombu
    if isinstance(found, list):  # unacked: [message, exchange, routing key]
        found = found[0]
    return bool(isinstance(found, dict) and found.get("properties", {}).get("correlation_id") == task_id)
