# SPDX-License-Identifier: Apache-2.0
"""What operators ask, done with Huey's own means. Called in the agent's thread."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import z4j_agent
from z4j_agent.adapter import Original, Refused, Unsupported
from z4j_huey import originals, stops
from z4j_huey.queues import is_waiting

if TYPE_CHECKING:
    from z4j_huey.capture import Capture


def retry_task(capture: Capture, original: Original, new_id: str) -> dict[str, Any]:
    """Enqueues the kept task again under `new_id`; our own hooks report it, and which task it repeats. Raises Refused."""
    task, note = originals.task_again(capture.huey, original, new_id)
    capture.retry_of[new_id] = original.task_id
    capture.huey.enqueue(task)
    return {"task_id": new_id, "queue": capture.huey.name} | ({"note": note} if note else {})


def cancel_task(capture: Capture, task_id: str) -> dict[str, Any]:
    """Revokes a waiting task; it is cancelled when a worker comes to it and says so. Raises Refused.

    Huey would take the revocation of any id, and keep it for ever where no task comes to claim it: so only what waits is revoked.
    """
    if task_id in capture.runs or any(entry[0] == task_id for _, entry in _in_children(capture)):
        raise Refused("it runs already; stop it instead")
    if not is_waiting(capture.huey, task_id):
        raise Refused("it does not wait in Huey's queue or schedule (any more)")
    capture.huey.revoke_by_id(task_id, revoke_once=True)
    return {"note": "it was revoked; a worker drops it when its turn comes"}


def can_terminate(consumer: Any) -> bool:
    """Threads and processes can be interrupted from here; a greenlet only from within its own thread."""
    return consumer is not None and consumer.environment.__class__.__name__ in ("ThreadEnvironment", "ProcessEnvironment")


def terminate_task(capture: Capture, task_id: str) -> dict[str, Any]:
    """Interrupts the task and nothing else: its process or thread goes on with the next. Raises Refused or Unsupported."""
    if not can_terminate(capture.consumer):
        raise Unsupported("only a consumer of threads or processes can stop a running task")
    agent = z4j_agent.current()
    for pid, entry in _in_children(capture):
        if entry[0] == task_id and agent is not None:
            stops.ask(agent, task_id)
            os.kill(pid, signal.SIGTERM if capture.consumer.graceful_signal != "TERM" else signal.SIGINT)
            return {"note": "its process was interrupted and takes the next task"}
    run = capture.runs.get(task_id)
    if run is None or not stops.raise_in(run.thread):
        raise Refused("it does not run in this worker (any more)")
    return {"note": "an exception was raised in its thread; what waits in a system call ends when that returns"}


def _in_children(capture: Capture) -> list[tuple[int, list[Any]]]:
    return capture.slots.read() if capture.slots is not None else []
