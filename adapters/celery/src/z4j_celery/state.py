# SPDX-License-Identifier: Apache-2.0
"""State of an app that its hooks record, and the base class of the adapter's parts."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar, Concatenate, ParamSpec, TypeVar
from weakref import ref

import z4j_agent
from z4j_agent.agent import Agent
from z4j_agent.contract.adapter import Original, SeveralTargets
from z4j_agent.runtime import gevent_bridge
from z4j_agent.wire import records
from z4j_celery import apps
from z4j_celery.attempts import Run
from z4j_celery.brokers import destinations
from z4j_celery.messages import ENGINE, read_steadily

SWEEP_AT = 512
P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="CeleryPart")


class AppState:
    """One app of this process. Written by its hooks, read by commands, discovery and the doctor."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.agent: Agent
        self.consumer: Any = None
        """The worker's consumer once it is ready; None in producers and children."""
        self.hub: Any = None
        """gevent's hub in whose greenlets this app is used; None without gevent."""
        self.paused: set[str] = set()
        """Queues that this process's worker has left because of a pause."""
        self.queue_changes: deque[Callable[[], object]] = deque()
        """Queues to consume or to leave, for the worker's own thread, in the order they were requested."""
        self.sent: set[str] = set()
        """Queues to which the application has sent from this process; they may be declared only by a worker elsewhere."""
        self.routes = destinations.Routes(app)
        self.runs: dict[int, Run] = {}
        """The running tasks of this process, by the identity of the request. The request itself has no additional attributes, because its
        task would see them."""
        self._requests: dict[str, ref[Any]] = {}
        """The worker's requests by task ID, as long as Celery itself has them: process and start of each task.

        Cleaned from time to time: a `WeakValueDictionary` is cleaned after every task, which takes 15 µs of the main process each.
        """
        self._sweep_at = SWEEP_AT

    def knows_queue(self, queue: str) -> bool:
        """Whether the application uses that queue."""
        return destinations.knows_queue(self.app, self.consumer, self.sent, queue)

    def known_queues(self) -> list[str]:
        """Returns the application's queues that this process has."""
        return destinations.known_queues(self.app, self.consumer, self.sent)

    def queue_in(self, info: Any) -> str:
        """Returns the queue a request came from; "" if unknown (a task called directly)."""
        if not info:
            return ""
        consumed = destinations.consumed(self.consumer) if info.get("exchange") and self.consumer is not None else ()
        return self.routes.queue(info.get("exchange"), info.get("routing_key"), consumed)

    def run_of(self, request: Any) -> Run | None:
        run = self.runs.get(id(request))
        return run if run is not None and run.task_id == request.id else None

    def remember_request(self, request: Any) -> None:
        """Stores a request that the worker has received. Removes those that Celery has dropped, when their number has doubled."""
        requests = self._requests
        requests[request.id] = ref(request)
        if len(requests) > self._sweep_at:
            self._requests = {task_id: request for task_id, request in requests.items() if request() is not None}
            self._sweep_at = max(SWEEP_AT, 2 * len(self._requests))

    def request_of(self, task_id: str) -> Any:
        """Returns the worker's request of this task, or None if Celery has dropped it."""
        reference = self._requests.get(task_id)
        return reference() if reference is not None else None

    def received_requests(self) -> list[Any]:
        """Returns the requests that Celery has not dropped."""
        references: list[ref[Any]] = read_steadily(lambda: list(self._requests.values()), list[ref[Any]]())
        return [request for each in references if (request := each()) is not None]


class CeleryPart(SeveralTargets):
    """The apps of this process, and the selection of those to which a command applies. Used in the agent's thread."""

    engine: ClassVar[str] = ENGINE
    states: list[AppState]

    @property
    def first(self) -> AppState:
        """The worker's app, else the one that was installed first."""
        return next((state for state in self.states if state.consumer is not None), self.states[0])

    @property
    def hub(self) -> Any:
        return next((state.hub for state in self.states if state.hub is not None), None)

    def states_in_scope(self) -> list[AppState]:
        """Returns the apps to which a command may apply, the worker's first."""
        first = self.first
        ordered = [first, *(state for state in self.states if state is not first)]
        return [state for state in ordered if self.only in ("", apps.identity_of(state.app))]

    @property
    def apps(self) -> list[Any]:
        return [state.app for state in self.states_in_scope()]

    def serving(self) -> list[Any]:
        """Returns the apps whose tasks this process runs: the worker's app, in a producer all apps."""
        return [self.first.app] if self.first.consumer is not None else self.apps

    def app_of(self, original: Original) -> Any:
        """Returns the app of a stored message. Raises Refused."""
        own = [app for app in self.apps if original.broker in ("", apps.identity_of(app))]
        return apps.choose(own, str(original.data.get("app", "")), original.queue, is_sure=bool(original.broker) and original.is_bound)

    def app_with(self, queue: str) -> Any:
        """Returns an app that declares the queue, else the first. Raises Refused if the broker is ambiguous."""
        return apps.the_one([app for app in self.apps if queue in app.amqp.queues] or [self.first.app])


def in_hub(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Decorator: runs the method in a greenlet if this process's sockets are gevent's."""

    @functools.wraps(method)
    def run_in_hub(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return gevent_bridge.ask(self.hub, lambda: method(self, *args, **kwargs))

    return run_in_hub


def report_released(task_id: str, attempt: int, at: int, name: str, queue: str) -> None:
    """Reports that a delayed task may run now."""
    agent = z4j_agent.current()
    if agent is not None:
        agent.append(records.enqueued(ENGINE, task_id, attempt, at, agent.run, name, queue))
