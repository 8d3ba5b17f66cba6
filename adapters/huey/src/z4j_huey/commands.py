# SPDX-License-Identifier: Apache-2.0
"""What operators ask, done with Huey's own means. Called in the agent's thread."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

from z4j_agent import green
from z4j_agent.adapter import Original, Refused
from z4j_huey import originals, reconcile
from z4j_huey.capture import retry_of

if TYPE_CHECKING:
    from z4j_huey.capture import Capture


def retry_task(capture: Capture, original: Original, new_id: str) -> dict[str, Any]:
    """Enqueues the kept task again under `new_id`; our own hooks report it, and which task it repeats. Raises Refused."""
    huey = capture.huey
    if huey._immediate:
        raise Refused("Huey's immediate mode is on here: the task would run inside the agent")
    task, note = originals.task_again(huey, original, new_id)

    def send() -> None:
        token = retry_of.set(original.task_id)
        try:
            huey.enqueue(task)
        finally:
            retry_of.reset(token)

    green.ask(capture.hub, send)
    return {"task_id": new_id, "queue": huey.name} | ({"note": note} if note else {})


def cancel_task(capture: Capture, task_id: str) -> dict[str, Any]:
    """Marks a waiting task as revoked, once. Raises Refused when it does not wait.

    Huey takes a mark for any id, also of what is over, and keeps it for ever then; so the task is looked for first.
    """
    if capture.running.get(task_id) is not None:
        raise Refused("it runs already")
    if not green.ask(capture.hub, lambda: reconcile.is_waiting(capture.huey, task_id)):
        raise Refused("it is neither in the queue nor in the schedule: a worker has taken it already, or it is over")
    green.ask(capture.hub, lambda: capture.huey.revoke_by_id(task_id, revoke_once=True))
    return {"note": "Huey drops it when a worker comes to it"}


def terminate_task(capture: Capture, task_id: str) -> dict[str, Any]:
    """Stops a task that this consumer runs: its child is interrupted, or an exception is raised where it runs. Raises Refused."""
    life = capture.life
    if life.slots is not None:
        for number, process in enumerate(life.children()):
            pid, entry = life.slots.read(number)
            if entry is not None and entry[0] == task_id and pid == process.pid:
                life.slots.ask_stop(number)
                os.kill(pid, getattr(life.consumer.environment, "interrupt", signal.SIGTERM))
                return {"note": "its process was interrupted and goes on with the next task"}
    elif green.ask(capture.hub, lambda: capture.running.stop(task_id)):
        return {"note": "an exception was raised in it; what waits in a system call ends when that returns"}
    raise Refused("it does not run in this worker (any more)")
