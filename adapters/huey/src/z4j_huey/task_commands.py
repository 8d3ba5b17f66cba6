# SPDX-License-Identifier: Apache-2.0
"""Commands for tasks, executed with Huey's own API in the agent's thread."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime
from functools import partial
from typing import Any

import z4j_agent
from z4j_agent.capture.hooks import now
from z4j_agent.contract.adapter import Original, Refused
from z4j_agent.runtime import gevent_bridge
from z4j_agent.wire import records
from z4j_huey import originals, queue_commands, reconcile
from z4j_huey.broker_identity import HueyPart, broker_key_of
from z4j_huey.execution.attempts import retry_of
from z4j_huey.messages import ENGINE, attempt_of, has_room, name_of, set_attempt
from z4j_huey.state import HueyState


def _send(state: HueyState, task: Any, retried_id: str, note: str) -> dict[str, Any]:
    huey, new_id = state.huey, task.id
    if huey._immediate:
        raise Refused("Huey's immediate mode is enabled in this process: the task would run inside the agent. Nothing was enqueued.")

    def send() -> None:
        if state.running.get(new_id) is not None or reconcile.has_result(huey, new_id):
            raise Refused("a task with the new ID already exists. Nothing was enqueued.", check="task_id.exists")
        token = retry_of.set(retried_id)
        try:
            huey.enqueue(task)
        finally:
            retry_of.reset(token)

    gevent_bridge.ask(state.hub, send)
    return {"task_id": new_id, "queue": huey.name} | ({"note": note} if note else {})


class TaskCommands(HueyPart):
    """Commands for tasks."""

    def retry_task(self, original: Original, *, new_id: str) -> dict[str, Any]:
        """Enqueues the stored task again under `new_id`; the hooks report it with the task that it repeats. Raises Refused."""
        state = self.of_original(original)
        task, note = originals.task_again(state.huey, original, new_id)
        return _send(state, task, original.task_id, note)

    def read_arguments(self, original: Original) -> tuple[list[Any], dict[str, Any]]:
        """Returns the stored task's arguments as JSON values. Raises Refused."""
        return originals.read_arguments(self.of_original(original).huey, original)

    def edit_task(self, original: Original, args: list[Any], kwargs: dict[str, Any], *, new_id: str) -> dict[str, Any]:
        """Like `retry_task`, with other arguments. Raises Refused."""
        state = self.of_original(original)
        task, note = originals.task_again(state.huey, original, new_id)
        task.args, task.kwargs = tuple(args), kwargs
        return _send(state, task, original.task_id, note)

    def restore_task(self, original: Original, *, new_id: str, eta_at: int | None, priority: int | None) -> dict[str, Any]:
        """Like `retry_task`, with its time and its priority. Raises Refused."""
        state = self.of_original(original)
        task, note = originals.task_again(state.huey, original, new_id)
        if eta_at is not None and eta_at > now():
            moment = datetime.fromtimestamp(eta_at / 1_000_000, UTC)
            task.eta = (moment if state.huey.utc else moment.astimezone()).replace(tzinfo=None)
        if priority is not None:
            task.priority = priority
        return _send(state, task, original.task_id, note)

    def run_task(self, name: str, args: list[Any], kwargs: dict[str, Any], *, new_id: str, queue: str) -> dict[str, Any]:
        """Enqueues a registered task. Raises Refused for any other."""
        state = self.named(queue, name) if queue else self._with(name)
        if not state.has(name):
            raise Refused(f"this application has no task {name[:80]}. Nothing was enqueued.", check="task.unknown")
        return _send(state, state.huey._registry.string_to_task(name)(tuple(args), kwargs, id=new_id), "", "")

    def _with(self, name: str) -> HueyState:
        """The object that has this task. Raises Refused."""
        states = [state for state in self.states_in_scope() if state.has(name)]
        if not states:
            raise Refused(f"this application has no task {name[:80]}. Nothing was enqueued.", check="task.unknown")
        if len({broker_key_of(state.huey) for state in states}) > 1:
            raise Refused(
                "several Huey objects of this process have this task, and the command names no queue. Nothing was enqueued.",
                check="broker.unknown",
            )
        return states[0]

    def release_task(self, task_id: str) -> dict[str, Any]:
        """Removes a task from the schedule and enqueues it, as the scheduler does when its time has come. Raises Refused."""

        def release(state: HueyState) -> dict[str, Any]:
            try:
                section, message, task = queue_commands.find(state, "delayed", task_id)
            except Refused:  # before the first worker has read it, a delayed task is in the queue
                section, message, task = queue_commands.find(state, "waiting", task_id)
            attempt, huey, agent = attempt_of(task), state.huey, z4j_agent.current()
            if not section.take(message):
                raise Refused("a worker has already taken the task, or this storage cannot remove a single task. No changes were made.")
            task.eta = None
            if has_room(huey):
                set_attempt(task, attempt)
            task.z4j_is_due = True
            huey.enqueue(task)
            if agent is not None:
                agent.append(records.enqueued(ENGINE, task_id, attempt, now(), agent.run, name_of(task), huey.name))
            return {"queue": huey.name}

        return self.in_first(release, partial(reconcile.has, task_id=task_id))

    def prioritise_task(self, task_id: str, level: str) -> dict[str, Any]:
        """Changes the position of a task in its queue, in storages with priorities. Raises Refused."""

        def put(state: HueyState) -> dict[str, Any]:
            section, message, _ = queue_commands.find(state, "waiting", task_id)
            if not section.can_order:
                raise Refused("this storage of Huey does not support priorities. No changes were made.")
            if not section.put(message, level):
                raise Refused("a worker has already taken the task. No changes were made.")
            return {"queue": state.huey.name}

        return self.in_first(put, partial(reconcile.has, task_id=task_id))

    def cancel_task(self, task_id: str) -> dict[str, Any]:
        """Marks a waiting task as revoked, once. Raises Refused if it does not wait.

        Huey accepts a mark for any ID, also of a task that has ended, and then keeps it permanently; so the task is searched first.
        """

        def cancel(state: HueyState) -> dict[str, Any]:
            if state.running.get(task_id) is not None:
                raise Refused("the task is already running. No changes were made.")
            if not reconcile.is_waiting(state.huey, task_id):
                raise Refused(
                    "the task is neither in the queue nor in the schedule: a worker has already taken it, or it has ended. "
                    "No changes were made."
                )
            state.huey.revoke_by_id(task_id, revoke_once=True)
            return {"note": "Huey drops it when a worker receives it"}

        return self.in_first(cancel, partial(reconcile.has, task_id=task_id))

    def terminate_task(self, task_id: str) -> dict[str, Any]:
        """Stops a task that this consumer runs: its child is interrupted, or an exception is raised where it runs. Raises Refused."""

        def stop(state: HueyState) -> dict[str, Any]:
            lifecycle = state.lifecycle
            if lifecycle.slots is not None:
                for number, process in enumerate(lifecycle.children()):
                    pid, entry = lifecycle.slots.read(number)
                    if entry is not None and entry[0] == task_id and pid == process.pid:
                        lifecycle.slots.ask_stop(number)
                        os.kill(pid, getattr(lifecycle.consumer.environment, "interrupt", signal.SIGTERM))
                        return {"note": "its process was interrupted and continues with the next task"}
            elif state.running.stop(task_id):
                return {"note": "an exception was raised in the task; if it waits in a system call, it ends when the call returns"}
            raise Refused("the task does not run in this worker now. No changes were made.")

        return self.in_first(stop, partial(reconcile.has, task_id=task_id))
