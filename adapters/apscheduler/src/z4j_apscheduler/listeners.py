# SPDX-License-Identifier: Apache-2.0
"""One APScheduler scheduler of this process: its state, and the events of its listeners. Times are in microseconds UTC.

Found by experiment: EVENT_JOB_SUBMITTED is sent when the whole pass over the stores is done, and so possibly after the function has
ended; no event reports that an executor refused a job. Listeners are called in the scheduler's and the executors' threads.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from apscheduler import events
from apscheduler.schedulers.base import STATE_PAUSED, STATE_RUNNING, STATE_STOPPED

import z4j_agent
from z4j_agent.capture.display import show_error
from z4j_agent.capture.guard import guard
from z4j_agent.capture.hooks import now, text_of
from z4j_agent.runtime import gevent_bridge

T = TypeVar("T")

SCHEDULER = "apscheduler"
RUN = "z4j-run-"
"""Prefix of the ID of a job that was requested to run once; it is not a schedule."""
MASK = (
    events.EVENT_SCHEDULER_STARTED
    | events.EVENT_JOB_SUBMITTED
    | events.EVENT_JOB_MISSED
    | events.EVENT_JOB_MAX_INSTANCES
    | events.EVENT_JOB_ERROR
)
REMEMBERED = 2_000
Due = tuple[str, str, int]
"""Store, id and due time of one run."""


class Watch:
    """Its listener and the data that it stores. `name` is the prefix of the keys of its jobs; "" for the first scheduler of a process."""

    def __init__(self, scheduler: Any, name: str) -> None:
        self.scheduler = scheduler
        self.name = name
        self.hub: Any = None
        """gevent's hub, if the scheduler runs in one."""
        self.last: dict[tuple[str, str], int] = {}
        """Store and ID → when it was last passed to its executor in this process."""
        self._pid = 0
        self._sent: dict[Due, object] = {}
        self._ended: dict[Due, tuple[str, str]] = {}

    def connect(self) -> None:
        """Adds the listener. A scheduler that has started already sends no event of its start."""
        self.scheduler.add_listener(self._on_event, MASK)
        if self.scheduler.state != STATE_STOPPED and self._has_loop():
            self._on_start()

    def disconnect(self) -> None:
        """Removes the listener."""
        self.scheduler.remove_listener(self._on_event)
        self._pid = 0

    # -- its state ---------------------------------------------------------------------------------------------------------
    @property
    def is_started(self) -> bool:
        """Whether it runs in this process: a fork copies the state, but not the thread."""
        return self._pid == os.getpid() and self.scheduler.state != STATE_STOPPED and self._has_loop()

    @property
    def is_running(self) -> bool:
        """Whether it runs in this process and is not paused."""
        return self.is_started and self.scheduler.state == STATE_RUNNING

    @property
    def is_paused(self) -> bool:
        """Whether the application or an operator has paused the whole scheduler."""
        return bool(self.scheduler.state == STATE_PAUSED)

    def _has_loop(self) -> bool:
        thread, loop = getattr(self.scheduler, "_thread", None), getattr(self.scheduler, "_eventloop", None)
        return (thread is None or thread.is_alive()) and (loop is None or not loop.is_closed())

    def ask(self, act: Callable[[], T]) -> T:
        """Calls a function, in the scheduler's own hub if it has one: a lock or an event of gevent does not work with other threads."""
        return gevent_bridge.ask(self.hub, act)

    def key_of(self, store: str, id: str) -> str:
        """Returns the key of a job: its ID in the store `default`, which most jobs are in."""
        return f"{self.name + '/' if self.name else ''}{'' if store == 'default' else store + '/'}{id}"

    # -- the listener --------------------------------------------------------------------------------------------------
    @guard("a scheduler's event")
    def _on_event(self, event: Any) -> None:
        if event.code == events.EVENT_SCHEDULER_STARTED:
            self._on_start()
            return
        if self._pid != os.getpid() or event.job_id.startswith(RUN):
            return
        store, id = str(event.jobstore), str(event.job_id)
        match event.code:
            case events.EVENT_JOB_SUBMITTED:
                self.last[store, id] = now()
                for at in event.scheduled_run_times:
                    self._on_sent((store, id, _micros(at)))
            case events.EVENT_JOB_MAX_INSTANCES:
                for at in event.scheduled_run_times:
                    self._report((store, id, _micros(at)), "skipped", "")
            case events.EVENT_JOB_MISSED:
                self._on_ended((store, id, _micros(event.scheduled_run_time)), "missed", "")
            case events.EVENT_JOB_ERROR:
                error = event.exception
                text = show_error(f"{type(error).__name__}: {text_of(error)}")
                self._on_ended((store, id, _micros(event.scheduled_run_time)), "failed", text)

    def _on_start(self) -> None:
        agent = z4j_agent.current()
        if agent is None:
            return
        is_green = type(self.scheduler._jobstores_lock).__module__.startswith("gevent")
        self.hub = sys.modules["gevent"].get_hub() if is_green else gevent_bridge.current_hub()
        self._pid = os.getpid()
        if agent.role == "producer" and not agent.is_connected_process:
            agent.become_scheduler(f"{SCHEDULER}@{agent.host}")
        else:
            agent.connect()

    def _on_sent(self, due: Due) -> None:
        """No lock is needed: the first event reports that the job was sent, and the outcome follows it in any case."""
        mark = object()
        if self._sent.setdefault(due, mark) is mark:
            self._report(due, "sent", "")
            ended = self._ended.get(due)
            if ended is not None:  # the executor's thread was faster, and reported it before
                self._report(due, *ended)
            _forget(self._sent)

    def _on_ended(self, due: Due, outcome: str, error: str) -> None:
        self._ended[due] = outcome, error
        if outcome == "failed":
            self._on_sent(due)
        else:
            self._sent.setdefault(due, self)  # it was never run: "sent" must not follow this
        self._report(due, outcome, error)
        _forget(self._ended)

    def _report(self, due: Due, outcome: str, error: str) -> None:
        agent = z4j_agent.current()
        if agent is not None:
            agent.fired(SCHEDULER, self.key_of(due[0], due[1]), due[2], outcome=outcome, error=error)


def _micros(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)


def _forget(remembered: dict[Due, Any]) -> None:
    if len(remembered) > REMEMBERED:
        for due in list(remembered)[: REMEMBERED // 2]:
            remembered.pop(due, None)
