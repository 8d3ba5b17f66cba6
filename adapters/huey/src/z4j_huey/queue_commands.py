# SPDX-License-Identifier: Apache-2.0
"""Waiting tasks of a Huey object: listed in order, and removed. Used in the agent's thread."""

from __future__ import annotations

from functools import partial
from typing import Any

import z4j_agent
from z4j_agent.agent import Agent
from z4j_agent.capture import display
from z4j_agent.capture.guard import let_through
from z4j_agent.capture.hooks import parameter_names
from z4j_agent.commands.queue_actions import Entry, purge
from z4j_agent.contract.adapter import Refused, WaitingTask
from z4j_agent.runtime import gevent_bridge
from z4j_huey import originals
from z4j_huey.broker_identity import HueyPart
from z4j_huey.messages import ENGINE, attempt_of, function_of, name_of, to_us
from z4j_huey.state import HueyState
from z4j_huey.storage import Section, WaitingMessage, section_of

LOOKED_THROUGH = 20_000
"""Maximum number of messages of a section that are searched for one task."""


def section_named(state: HueyState, section: str) -> Section:
    """Returns the section `waiting` or `delayed`. Raises Refused for `dead`, which Huey does not have."""
    if section == "dead":
        raise Refused("Huey does not store failed tasks in a queue")
    return section_of(state.huey, is_schedule=section == "delayed")


def find(state: HueyState, section: str, task_id: str) -> tuple[Section, WaitingMessage, Any]:
    """Returns a waiting task: its section, its message, and the task itself. Raises Refused if it is not there."""
    there = section_named(state, section)
    for message in there.first(LOOKED_THROUGH):
        task = read(state, message.data)
        if task is not None and task.id == task_id:
            return there, message, task
    raise Refused("the task does not wait there: a worker has already taken it, or it has ended. No changes were made.")


def read(state: HueyState, data: bytes) -> Any:
    """Returns the task in a message; None if the application has no such task, or it is not a message of Huey."""
    try:
        return state.huey.deserialize_task(data)
    except Exception as error:
        let_through(error)
        return None


def _shown(state: HueyState, agent: Agent, data: bytes) -> WaitingTask:
    task = read(state, data)
    if task is None:
        _, task_id, _, name = originals.of_unknown(agent, state.huey, data)
        return WaitingTask(task_id, name, "…")
    function = function_of(type(task))
    names = parameter_names(function) if function is not None else ()
    text, _ = display.show_arguments(task.args, task.kwargs, agent.settings.redact, names)
    priority = task.priority if isinstance(task.priority, int) else None
    return WaitingTask(task.id, name_of(task), text, None, to_us(task.eta, is_utc=state.huey.utc), priority)


def _purge(state: HueyState, section: str) -> dict[str, Any]:
    there, agent = section_named(state, section), z4j_agent.current()
    assert agent is not None  # the command came through it

    def take(message: WaitingMessage) -> bool:
        is_ours = there.take(message)
        if is_ours is None:
            raise Refused("tasks cannot be removed one by one from this storage. No changes were made.")
        return is_ours

    def entry(message: WaitingMessage) -> Entry:
        task = read(state, message.data)
        if task is None:
            payload, task_id, attempt, name = originals.of_unknown(agent, state.huey, message.data)
            return Entry(task_id, attempt, name, partial(take, message), lambda: payload)
        attempt, name = attempt_of(task), name_of(task)
        payload_of_task = partial(originals.payload_of, agent, state.huey, task, originals.BY_WORKER, attempt, name)
        return Entry(task.id, attempt, name, partial(take, message), payload_of_task)

    return purge(agent, ENGINE, state.huey.name, map(entry, there.first(max(there.size(), 1))))


class QueueCommands(HueyPart):
    """Commands for queues."""

    def peek_queue(self, queue: str, section: str, limit: int) -> list[WaitingTask]:
        """Returns the first tasks of a section. Changes nothing. Huey's messages do not contain their time."""
        state, agent = self.named(queue), z4j_agent.current()

        def look() -> list[WaitingTask]:
            return (
                [_shown(state, agent, message.data) for message in section_named(state, section).first(limit)] if agent is not None else []
            )

        return gevent_bridge.ask(state.hub, look)

    def purge_queue(self, queue: str, section: str) -> dict[str, Any]:
        """Removes all current tasks of a section. Raises Refused."""
        state = self.named(queue)
        return gevent_bridge.ask(state.hub, lambda: _purge(state, section))
