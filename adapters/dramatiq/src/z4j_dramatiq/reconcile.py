# SPDX-License-Identifier: Apache-2.0
"""Looks up a task in Dramatiq whose end was not reported."""

from __future__ import annotations

from typing import Any

from dramatiq.message import Message
from dramatiq.middleware.threading import is_gevent_active
from dramatiq.results import ResultError, ResultMissing, Results

from z4j_agent.contract.adapter import Unsupported
from z4j_dramatiq.broker_identity import DramatiqPart
from z4j_dramatiq.messages import DEAD
from z4j_dramatiq.queues import find_in_redis, kind_of

ACTORS_ASKED = 200
"""Maximum number of tried actors: a result is stored under a hash of queue, actor and ID."""


def has_result(broker: Any, message: Message[Any]) -> bool:
    """Whether a result or an error is stored for exactly this message."""
    results = next((middleware for middleware in broker.middleware if isinstance(middleware, Results)), None)
    if results is None:
        return False
    try:
        results.backend.get_result(message)
    except ResultMissing:
        return False
    except ResultError:
        return True
    return True


def _stored(broker: Any, task_id: str) -> dict[str, Any] | None:
    results = next((middleware for middleware in broker.middleware if isinstance(middleware, Results)), None)
    if results is None:
        return None
    storing = [actor for actor in broker.actors.values() if actor.options.get("store_results", results.store_results)]
    for actor in storing[:ACTORS_ASKED]:
        message: Message[Any] = Message(actor.queue_name, actor.actor_name, (), {}, {}, message_id=task_id)
        try:
            results.backend.get_result(message)
        except ResultMissing:
            continue
        except ResultError:
            return {"state": "failed", "engine_state": "an error is stored"}
        return {"state": "succeeded", "engine_state": "a result is stored"}
    return None


class Reconcile(DramatiqPart):
    """Looks up tasks."""

    def lookup_task(self, task_id: str) -> dict[str, Any]:
        """Reads this worker's threads, then the stored results, then the broker. RabbitMQ has no look-up of a single message."""
        if self.state.running.get(task_id) is not None:
            return {"state": "running", "engine_state": "it runs in a thread of this worker"}
        broker = self.state.broker
        if is_gevent_active():
            raise Unsupported("under gevent the agent's thread cannot use the broker's connections")
        stored = _stored(broker, task_id)
        if stored is not None:
            return stored
        if kind_of(broker) != "redis":
            return {"state": "unknown", "engine_state": "this broker has no look-up of a single message"}
        queues = [queue for queue, _, _ in find_in_redis(broker, task_id)]
        waiting = next((queue for queue in queues if not queue.endswith(DEAD)), None)
        if waiting is not None:  # also while a worker has it: only its end removes it, and it is requeued when that worker dies
            return {"state": "queued", "engine_state": f"in {waiting}, or fetched by a worker and not acknowledged"}
        if queues:
            return {"state": "failed", "engine_state": f"a dead letter in {queues[0]}"}
        return {"state": "unknown", "engine_state": "neither queued nor a dead letter, and no result is stored"}
