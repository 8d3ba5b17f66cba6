# SPDX-License-Identifier: Apache-2.0
"""Looks up a task in Celery whose end was not reported.

Sources, the most certain first: this worker's memory, the result backend, and for a Redis broker its lists.
"""

from __future__ import annotations

from typing import Any

from celery.worker import state as worker_state

from z4j_agent.contract.adapter import Unsupported
from z4j_celery.apps import broker_key_of
from z4j_celery.brokers import redis_lists
from z4j_celery.brokers.message import driver_of
from z4j_celery.state import CeleryPart, in_hub

STATES = {"SUCCESS": "succeeded", "FAILURE": "failed", "REVOKED": "cancelled"}


def is_reserved(task_id: str) -> bool:
    """Whether this process's worker has fetched it."""
    return task_id in worker_state.requests


def _asked_of(app: Any, queues: list[str], task_id: str) -> dict[str, Any] | None:
    """The state in one app's backend and broker; None if neither can be read."""
    state = _of_backend(app, task_id)
    if state in STATES:
        return {"state": STATES[state], "engine_state": state}
    waits = is_waiting(app, queues, task_id)
    if waits:
        return {"state": "queued", "engine_state": state or "in the broker"}
    if not state and waits is None:
        return None
    return {"state": "unknown", "engine_state": state or "not in the known queues"}


def _of_backend(app: Any, task_id: str) -> str:
    """The state in the backend; "" if it stores none, or is rpc://: reading that removes the result from the process that waits for it."""
    backend = app.backend
    if type(backend).__name__ in ("DisabledBackend", "RPCBackend"):
        return ""
    return str(backend.get_task_meta(task_id).get("status", "PENDING"))


def is_waiting(app: Any, queues: list[str], task_id: str) -> bool | None:
    """Whether the task's message is in one of these queues or with a worker; None if the broker cannot be searched completely."""
    if driver_of(app) != "redis":
        return None
    with redis_lists.open_redis(app) as lists:
        return lists.holds(task_id, queues)


class Reconcile(CeleryPart):
    """Looks up tasks."""

    @in_hub
    def lookup_task(self, task_id: str) -> dict[str, Any]:
        """Returns {"state": succeeded, failed, cancelled, queued, running or unknown; "engine_state": Celery's word}.

        PENDING means that the backend does not know the id; RETRY after a cold shutdown may be final, so both are unknown unless the
        message is found. Raises Unsupported if neither backend nor broker can be read, and the exceptions of backend and broker.
        """
        consumer = self.first.consumer if self.first in self.states_in_scope() else None
        request = worker_state.requests.get(task_id) if consumer is not None else None
        if request is not None:
            is_running = any(request.id == task_id for request in tuple(worker_state.active_requests))
            return {"state": "running" if is_running else "queued", "engine_state": "fetched by this worker"}
        answers: dict[str | int, dict[str, Any]] = {}
        for state in self.states_in_scope():
            answer, broker_key = _asked_of(state.app, state.known_queues(), task_id), broker_key_of(state.app)
            if answer is not None and answers.get(broker_key, {"state": "unknown"})["state"] == "unknown":
                answers[broker_key] = answer
        if not answers:
            raise Unsupported("this app stores no results that can be read, and its broker cannot be searched")
        known = [answer for answer in answers.values() if answer["state"] != "unknown"]
        if len({answer["state"] for answer in known}) > 1:  # one ID in several brokers: ambiguous
            return {"state": "unknown", "engine_state": "in several brokers"}
        return (known or list(answers.values()))[0]
