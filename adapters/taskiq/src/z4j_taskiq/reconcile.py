# SPDX-License-Identifier: Apache-2.0
"""Looks up a task in taskiq whose end was not reported."""

from __future__ import annotations

from typing import Any

from z4j_agent.contract.adapter import Refused, Unsupported
from z4j_taskiq.brokers.broker_identity import TaskiqPart
from z4j_taskiq.brokers.connections import in_loop
from z4j_taskiq.queues import find_waiting
from z4j_taskiq.state import BrokerState


def _look(state: BrokerState, task_id: str) -> dict[str, Any]:
    stored = _stored(state, task_id)
    if stored is not None:
        return stored
    waits = find_waiting(state, task_id)
    if waits:
        return {"state": "queued", "engine_state": waits}
    return {"state": "unknown", "engine_state": "no result" if waits is None else "no result, and not in the queue"}


def _stored(state: BrokerState, task_id: str) -> dict[str, Any] | None:
    backend = state.broker.result_backend
    kind = type(backend).__name__
    if kind == "DummyResultBackend":  # it reports every task as ready
        return None
    if getattr(backend, "keep_results", True) is False:
        raise Unsupported("reading this result backend would remove the result from the process that waits for it (keep_results=False)")

    async def ask() -> Any:
        return await backend.get_result(task_id) if await backend.is_result_ready(task_id) else None

    result = in_loop(state, ask)
    if result is None:
        return None
    return {"state": "failed" if result.is_err else "succeeded", "engine_state": "error" if result.is_err else "success"}


def has_ended(state: BrokerState, task_id: str) -> bool:
    """The state by a stored result; unknown if none can be read."""
    try:
        return _stored(state, task_id) is not None
    except (Refused, Unsupported):
        return False


class Reconcile(TaskiqPart):
    """Looks up tasks."""

    def lookup_task(self, task_id: str) -> dict[str, Any]:
        """Reads the running tasks of this worker, then the result stores, then the queues. If several brokers have the ID with different
        states, the state is unknown. Raises Unsupported or Refused if one cannot be read."""
        states = self.states_in_scope()
        for state in states:
            run = state.running.get(task_id)
            if run is not None:
                return {"state": "running", "engine_state": "running" if run.started_at else "taken by a worker"}
        answers = [_look(state, task_id) for state in states]
        known = [answer for answer in answers if answer["state"] != "unknown"]
        if len({answer["state"] for answer in known}) > 1:
            return {"state": "unknown", "engine_state": "in several brokers"}
        return (known or answers or [{"state": "unknown", "engine_state": "no broker is monitored"}])[0]
