# SPDX-License-Identifier: Apache-2.0
"""What operators ask, done with Dramatiq's own means. Called in the agent's thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dramatiq.middleware.threading import current_platform, is_gevent_active, supported_platforms

import z4j_agent
from z4j_agent import hooks, records
from z4j_agent.adapter import Original, Refused, Unsupported
from z4j_agent.guard import faults
from z4j_dramatiq import originals
from z4j_dramatiq.facts import DEAD, ENGINE, attempt_of, queue_of
from z4j_dramatiq.queues import find_in_redis, key_of, kind_of, lent_connection

if TYPE_CHECKING:
    from z4j_dramatiq.capture import Capture


def can_reach_broker() -> bool:
    """Whether the agent's thread may use the broker's connections.

    Under gevent they belong to the greenlets of other threads, and the agent's is a real thread: it would hang or break them.
    """
    return not is_gevent_active()


def _need_broker() -> None:
    if not can_reach_broker():
        raise Unsupported("under gevent the broker's connections cannot be used by the agent's own thread")


def retry_task(broker: Any, original: Original, new_id: str) -> dict[str, Any]:
    """Enqueues the kept message again under `new_id`; our own hooks report it, and which task it repeats. Raises Refused.

    The actor need not be declared in this process. A queue that RabbitMQ does not know yet is declared on the way, as Dramatiq does.
    """
    _need_broker()
    message, note = originals.message_again(original, new_id)
    with lent_connection(broker):
        broker.enqueue(message)
    return {"task_id": new_id, "queue": original.queue} | ({"note": note} if note else {})


# -- cancel --------------------------------------------------------------------------------------------------------------
def cancel_task(capture: Capture, task_id: str) -> dict[str, Any]:
    """Takes the message out of Redis where no worker has it yet; else has the workers of this host and user skip it. Raises Refused."""
    _need_broker()
    if capture.worker is None:
        raise Unsupported("only a worker can cancel, and this process is none")
    if capture.running.get(task_id) is not None:
        raise Refused("it runs already; stop it instead")
    if kind_of(capture.broker) == "redis":
        is_dead, is_removed = _taken_out(capture.broker, task_id)
        if is_removed:
            return {"note": "it was taken out of the queue"}
        if is_dead:
            raise Refused("it has ended already and is a dead letter")
    try:
        capture.skips.add(task_id)
    except OSError as error:
        faults.report("telling the other workers of a cancellation", error)
        return {"note": "this worker process will not run it; the others could not be told"}
    return {"note": "no worker of this host and user will run it; the task is cancelled when one of them comes to it"}


def _taken_out(broker: Any, task_id: str) -> tuple[bool, bool]:
    """(it is a dead letter, it was waiting and is not any more). LREM says for certain whether we or a worker were first."""
    is_dead = is_removed = False
    for place, delivery, message in find_in_redis(broker, task_id):
        if place.endswith(DEAD):
            is_dead = True
        elif broker.client.lrem(key_of(broker, place), 1, delivery):
            broker.client.hdel(f"{key_of(broker, place)}.msgs", delivery)
            is_removed = True
            agent, queue, attempt = z4j_agent.current(), queue_of(place), attempt_of(message.options)
            if agent is not None:
                agent.append(
                    records.cancelled(ENGINE, task_id, attempt, hooks.now(), agent.run, message.actor_name, queue, reason="revoked")
                )
    return is_dead, is_removed


# -- stop ----------------------------------------------------------------------------------------------------------------
def can_terminate() -> bool:
    """Whether an exception can be raised in another thread here, as Dramatiq's own time limits do it."""
    return current_platform in supported_platforms and not is_gevent_active()


def terminate_task(capture: Capture, task_id: str) -> dict[str, Any]:
    """Raises an exception in the thread that runs the task, and nowhere else. Raises Refused or Unsupported."""
    if not can_terminate():
        raise Unsupported("greenlets and other interpreters than CPython give no way to stop a running task")
    if capture.worker is None:
        raise Unsupported("only the worker that runs it can stop a task")
    if not capture.running.stop(task_id):
        raise Refused("it does not run in this worker (any more)")
    return {"note": "an exception was raised in its thread; what waits in a system call ends when that returns"}
