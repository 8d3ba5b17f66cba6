# SPDX-License-Identifier: Apache-2.0
"""Looks up a task in Huey. Nothing is changed: an ordinary read of a result would delete it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any

from huey.constants import EmptyData
from huey.utils import Error

from z4j_agent.capture.guard import let_through
from z4j_agent.runtime import gevent_bridge
from z4j_huey.broker_identity import HueyPart, broker_key_of
from z4j_huey.state import HueyState

IN_FLIGHT = {"state": "running", "engine_state": "in flight"}
LOOKED_THROUGH = 5_000
"""Maximum number of messages of the queue, and of the schedule, that are searched for one task."""


def is_waiting(huey: Any, task_id: str) -> bool:
    """Whether the task is among the searched messages of the queue and the schedule."""
    return any(waiting_id == task_id for waiting_id in _ids(huey))


def has(state: HueyState, task_id: str) -> bool:
    """Whether this object runs the task, or has fetched it for its workers."""
    return state.running.get(task_id) is not None or is_waiting(state.huey, task_id)


def has_result(huey: Any, task_id: str) -> bool:
    """Whether a result or a revocation is stored under this ID. Does not read its value."""
    storage = huey.storage
    return any(storage.has_data_for_key(key) for key in (task_id, f"r:{task_id}"))


def _ids(huey: Any) -> Iterator[str]:
    for read in (huey.storage.enqueued_items, huey.storage.scheduled_items):
        for data in islice(read(LOOKED_THROUGH), LOOKED_THROUGH):
            try:
                yield str(huey.serializer.deserialize(data).id)
            except Exception as error:  # another application's, or of another serialiser: not readable
                let_through(error)


def _look(huey: Any, task_id: str) -> dict[str, Any]:
    if is_waiting(huey, task_id):
        return {"state": "queued", "engine_state": "revoked" if huey.is_revoked(task_id) else "waiting"}
    data = huey.get_raw(task_id, peek=True)
    if data is EmptyData:
        return {"state": "unknown", "engine_state": "gone"}
    value = huey.serializer.deserialize(data)
    if not isinstance(value, Error):
        return {"state": "succeeded", "engine_state": "result"}
    if value.metadata.get("retries"):  # of an earlier attempt: the next one may run anywhere
        return {"state": "unknown", "engine_state": "retrying"}
    return {"state": "failed", "engine_state": "error"}


class Reconcile(HueyPart):
    """Looks up tasks."""

    def lookup_task(self, task_id: str) -> dict[str, Any]:
        """Returns the state of a task in Huey, which stores no result of a task that returned None (by default) and of a periodic task,
        and none that was already read.

        If several brokers have the ID, the state is unknown.

        """
        answers: dict[Any, dict[str, Any]] = {}
        for state in self.states_in_scope():
            is_running = state.running.get(task_id) is not None
            answers[broker_key_of(state.huey)] = (
                IN_FLIGHT if is_running else gevent_bridge.ask(state.hub, partial(_look, state.huey, task_id))
            )
        known = [answer for answer in answers.values() if answer["state"] != "unknown"]
        if len(known) > 1:
            return {"state": "unknown", "engine_state": "in several brokers"}
        return known[0] if known else next(iter(answers.values()), {"state": "unknown", "engine_state": "gone"})
