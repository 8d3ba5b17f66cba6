# SPDX-License-Identifier: Apache-2.0
"""Waiting tasks in a queue of the broker: listed in order, removed, moved, put in front. Used in the agent's thread.

Only the broker is read. Tasks that a worker has prefetched, or holds until their time, cannot be changed there, and the result states this.
The queues of Redis and RabbitMQ can be read; for other brokers none of these actions is declared.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import z4j_agent
from z4j_agent.agent import Agent
from z4j_agent.capture import display
from z4j_agent.commands.queue_actions import Entry, purge
from z4j_agent.contract.adapter import Refused, Unsupported, WaitingTask
from z4j_agent.runtime import gevent_bridge
from z4j_agent.wire import records
from z4j_celery import originals
from z4j_celery.apps import broker_key_of, the_one
from z4j_celery.brokers.message import ReadableBroker, Waiting, arguments_of, driver_of
from z4j_celery.messages import ENGINE, now
from z4j_celery.state import CeleryPart, in_hub, report_released
from z4j_celery.worker_commands import release_reserved

PAGE = 500
MOST = 1_000_000
"""Maximum number of messages that one purge removes."""
TAKEN = "the task is no longer in the queue {queue}; a worker may have fetched it. No changes were made."
NOT_FOUND = (
    "the task was not found in the queues that this process searched ({queues}); whether it waits in another one is unknown. "
    "No changes were made."
)
NAMED_AT_MOST = 10


def open_broker(app: Any) -> AbstractContextManager[ReadableBroker]:
    """Opens the broker of an app. Raises Unsupported for a broker whose queues cannot be read."""
    from z4j_celery.brokers import rabbitmq, redis_lists  # costs the host's import time; the client of a broker may not be installed

    match driver_of(app):
        case "redis":
            return redis_lists.open_redis(app)
        case "amqp":
            return rabbitmq.open_rabbitmq(app)
        case other:
            raise Unsupported(f"the queues of a {other} broker cannot be read")


def is_there(app: Any, task_id: str, queues: Sequence[str]) -> bool:
    """Whether the task waits in one of these queues; False for a broker whose queues cannot be read."""
    try:
        with open_broker(app) as broker:
            return broker.find(task_id, list(queues)) is not None
    except Unsupported:
        return False


def _put(
    app: Any, task_id: str, queues: Sequence[str], expected: str, put: Callable[[ReadableBroker, str, Waiting], bool]
) -> tuple[str, Waiting]:
    """Finds a task and passes its queue and message to `put`; searches again if another process has taken it meanwhile. Raises Refused."""
    searched = [*([expected] if expected else ()), *(queue for queue in queues if queue != expected)]
    for is_fresh in (False, True):
        with open_broker(app) as broker:
            queue_and_message = broker.find(task_id, searched, is_fresh=is_fresh)
            if queue_and_message is None:
                break
            if put(broker, *queue_and_message):
                return queue_and_message
    if expected:
        raise Refused(TAKEN.format(queue=expected), check="task.not_waiting")
    named = ", ".join(searched[:NAMED_AT_MOST]) + (", …" if len(searched) > NAMED_AT_MOST else "")
    raise Refused(NOT_FOUND.format(queues=named or "none"), check="task.not_found")


# -- a whole queue -------------------------------------------------------------------------------------------------------
def _check(section: str) -> None:
    """Checks the section of a queue. The queue itself was checked with the command: it belongs to the application."""
    if section != "waiting":
        raise Refused("Celery stores no failed tasks in a queue, and its workers keep delayed tasks in memory")


def _shown(app: Any, waiting: Waiting) -> WaitingTask:
    agent, arguments, text = z4j_agent.current(), arguments_of(waiting), "…"
    if agent is not None and arguments is not None and waiting.name in app.tasks:  # else nothing marks a secret
        names = originals.parameter_names(app, waiting.name)
        text, _ = display.show_arguments(arguments[0], arguments[1], agent.settings.redact, names)
    return WaitingTask(waiting.task_id, waiting.name, text, None, waiting.due_at, waiting.priority)


def _entries(agent: Agent, app: Any, queue: str, broker: ReadableBroker) -> Generator[Entry, None, None]:
    """Made one by one while the page is open: in RabbitMQ only the channel that has fetched a message can remove it."""
    for _ in range(MOST // PAGE):
        is_any_taken = False
        for waiting in broker.first(queue, PAGE):
            entry = Entry(
                waiting.task_id,
                waiting.attempt,
                waiting.name,
                partial(broker.take, queue, waiting),
                partial(_payload, agent, app, queue, waiting),
            )
            yield entry
            is_any_taken = is_any_taken or entry.is_taken
        if not is_any_taken:
            return


def _payload(agent: Any, app: Any, queue: str, waiting: Waiting) -> bytes:
    arguments = arguments_of(waiting)
    args, kwargs, has_more = arguments if arguments is not None else ((), {}, True)
    body, headers = waiting.body, waiting.headers
    if "task" not in headers and arguments is not None:  # protocol 1: stored in the form in which protocol 2 would send it again
        body, headers = json.dumps([args, kwargs, originals.NO_CALLBACKS]), {}
    message = originals.Message(
        args, kwargs, headers, body if len(body) <= originals.LARGEST else None, has_more, waiting.content_type, waiting.encoding,
        waiting.exchange, waiting.key,
    )  # fmt: skip
    return originals.payload_of_waiting(agent, app, message, waiting.task_id, waiting.attempt, waiting.name, queue)


class QueueCommands(CeleryPart):
    """Commands for tasks that wait in the broker."""

    # -- one task --------------------------------------------------------------------------------------------------------
    def move_task(self, task_id: str, queue: str) -> dict[str, Any]:
        """Moves a task to the end of another queue of the same broker. Raises Refused, also for a queue that only an app with another
        broker uses."""

        def move(app: Any, known: list[str]) -> dict[str, Any]:
            using = {broker_key_of(state.app) for state in self.states if state.knows_queue(queue)}
            if using and broker_key_of(app) not in using:
                raise Refused(f"{queue[:80]} is in another broker. No changes were made.", check="queue.unknown")
            _, waiting = _put(app, task_id, known, self.waits_in, put)
            agent = z4j_agent.current()
            if agent is not None:
                agent.append(records.moved(ENGINE, task_id, waiting.attempt, now(), agent.run, waiting.name, queue))
            return {"queue": queue}

        def put(broker: ReadableBroker, source: str, waiting: Waiting) -> bool:
            if source == queue:
                raise Refused("the task is already in that queue. No changes were made.")
            return broker.put(waiting, source, queue, priority=None, in_front=False, is_due=False)

        return self._in_first_app(move, task_id)

    def prioritise_task(self, task_id: str, level: str) -> dict[str, Any]:
        """Changes the position of a task in its queue. Raises Refused."""

        def prioritise(app: Any, known: list[str]) -> dict[str, Any]:
            given: list[int] = []

            def put(broker: ReadableBroker, queue: str, waiting: Waiting) -> bool:
                priority, in_front = broker.level(app, queue, level)
                given[:] = [priority]
                return broker.put(waiting, queue, queue, priority=priority, in_front=in_front, is_due=False)

            queue, _ = _put(app, task_id, known, self.waits_in, put)
            return {"queue": queue, "priority": given[0]}

        return self._in_first_app(prioritise, task_id)

    def release_task(self, task_id: str) -> dict[str, Any]:
        """Makes a delayed task due: one that this worker holds is passed to the pool; from one that no worker has fetched, the eta is
        removed. Raises Refused.

        The former does not run within gevent's hub, because the worker's own greenlet must continue meanwhile.

        """
        at = now()

        def put(broker: ReadableBroker, queue: str, waiting: Waiting) -> bool:
            if waiting.due_at is None or waiting.due_at <= at:
                raise Refused("the task is already due and waits for a worker. No changes were made.")
            if "task" not in waiting.headers:
                raise Refused("its eta is inside its body (message protocol 1), which may be signed. No changes were made.")
            return broker.put(waiting, queue, queue, priority=None, in_front=False, is_due=True)

        def release(app: Any, known: list[str]) -> dict[str, Any]:
            queue, waiting = _put(app, task_id, known, self.waits_in, put)
            report_released(task_id, waiting.attempt, at, waiting.name, queue)
            return {"queue": queue}

        released = release_reserved(self.first, task_id) if self.first in self.states_in_scope() else None
        return released or self._in_first_app(release, task_id)

    def _in_first_app(self, do: Callable[[Any, list[str]], dict[str, Any]], task_id: str) -> dict[str, Any]:
        """Acts in the first of this process's apps whose broker has the task. Raises Refused if several brokers have it."""
        apps_and_queues = [(state.app, state.known_queues()) for state in self.states_in_scope()]
        if len({broker_key_of(app) for app, _ in apps_and_queues}) > 1:
            holding = [
                (app, known) for app, known in apps_and_queues if gevent_bridge.ask(self.hub, partial(is_there, app, task_id, known))
            ]
            if holding:
                the_one([app for app, _ in holding])
                apps_and_queues = holding[:1]
        refused: Refused | None = None
        for app, known in apps_and_queues:
            try:
                return gevent_bridge.ask(self.hub, partial(do, app, known))
            except Refused as error:
                refused = refused or error
        raise refused or Refused("no app is monitored in this process now. No changes were made.")

    # -- a whole queue ---------------------------------------------------------------------------------------------------
    @in_hub
    def peek_queue(self, queue: str, section: str, limit: int) -> list[WaitingTask]:
        """Lists tasks. Changes nothing except RabbitMQ's mark of redelivery. Raises Refused."""
        _check(section)
        app = self.app_with(queue)
        with open_broker(app) as broker:
            return [_shown(app, waiting) for waiting in broker.first(queue, limit)]

    @in_hub
    def purge_queue(self, queue: str, section: str) -> dict[str, Any]:
        """Removes all current tasks of the queue, page by page. Raises Refused."""
        _check(section)
        app, agent = self.app_with(queue), z4j_agent.current()
        assert agent is not None  # the command came through it
        with open_broker(app) as broker, contextlib.closing(_entries(agent, app, queue, broker)) as entries:
            return purge(agent, ENGINE, queue, entries)
