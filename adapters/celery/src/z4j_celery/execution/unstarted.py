# SPDX-License-Identifier: Apache-2.0
"""Arguments of tasks whose producer is not watched: who of a worker's processes reports them.

The process that runs a task reports them together with its start, before its function is called (`Capture.on_prerun`): it has the message,
and the worker's main process is Celery's bottleneck. The main process reports those of a task that does not start soon: prefetched ones,
those that are delayed by a rate limit, and those of a child that was killed.
"""

from __future__ import annotations

import collections
import time
from typing import Any, NamedTuple

from z4j_agent.agent import Agent
from z4j_agent.capture.guard import faults, let_through
from z4j_celery import originals

AFTER_S = 1.0
"""Seconds after which the main process reports the arguments of a task that has not started."""
DEFAULT_STRATEGY = "celery.worker.strategy:default"


class _Received(NamedTuple):
    request: Any
    attempt: int
    queue: str
    until: float


class Unstarted:
    """The tasks that one app's worker has received and that may not have started. Filled by the worker, emptied by the agent's thread."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._received: collections.deque[_Received] = collections.deque()
        self._is_offered = False
        self._offered = 0
        """Number of the last job that was offered: an earlier one, offered by the other thread at the same time, does nothing."""

    def add(self, agent: Agent, request: Any, attempt: int, queue: str) -> None:
        """Leaves the arguments of a received task to the process that will run it, if Celery's own code runs it."""
        received = _Received(request, attempt, queue, time.monotonic() + AFTER_S)
        is_soon = request.eta is None and request.task.Strategy == DEFAULT_STRATEGY and agent.is_connected_process
        if not is_soon:
            agent.offer(lambda: self._payload(agent, received))
            return
        self._received.append(received)
        if not self._is_offered:
            self._offer(agent)

    def report(self, agent: Agent, request: Any, attempt: int, queue: str) -> None:
        """Reports the arguments of a task whose process may have been killed before it did. A second report changes nothing."""
        if request.content_type != originals.JSON or not originals.is_reported(request.body):
            received = _Received(request, attempt, queue, 0.0)
            agent.offer(lambda: self._payload(agent, received))

    def report_all(self, agent: Agent) -> None:
        """Reports those of all tasks that have not started, at the end of the worker."""
        self._look(agent, self._offered, is_last=True)

    def _offer(self, agent: Agent) -> None:
        self._is_offered = True
        self._offered = number = self._offered + 1
        agent.offer(lambda: self._look(agent, number))

    def _look(self, agent: Agent, number: int, *, is_last: bool = False) -> None:
        if number != self._offered:
            return
        self._is_offered = False  # before the tasks are counted: one that is added from here on offers a job of its own
        now = time.monotonic()
        for _ in range(len(self._received)):
            received = self._received.popleft()
            if received.request.time_start is not None:
                continue  # the process that has it reports them
            if now < received.until and not is_last:
                self._received.append(received)
                continue
            try:
                agent.append(self._payload(agent, received))
            except Exception as error:
                let_through(error)
                faults.report("arguments", error)
        if self._received and not self._is_offered:
            self._offer(agent)

    def _payload(self, agent: Agent, received: _Received) -> bytes:
        return originals.payload_of_request(agent, self._app, received.request, received.attempt, received.queue)
