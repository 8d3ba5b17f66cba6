# SPDX-License-Identifier: Apache-2.0
"""Huey's own scheduler, watched and changed: what it enqueues by the clock, and what operators want it to enqueue instead or besides.

The loop of a consumer's scheduler asks `read_schedule` every second and `read_periodic` every minute (huey/consumer.py, Scheduler.loop),
and enqueues whatever both return. So what is switched off is left out of the second's answer, and what is changed or new is put into
the first's when it is due. Nothing of the application's is altered: without overrides both answer what they always did. With process
workers the scheduler is a forked child, which becomes an agent's process of its own when it first asks.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Callable
from datetime import datetime
from multiprocessing.util import Finalize
from typing import Any, Final

import z4j_agent
from z4j_agent.capture.guard import guard
from z4j_agent.capture.hooks import now, override_store, report_fire
from z4j_agent.contract.scheduler import Override
from z4j_huey.messages import name_of, to_us
from z4j_huey.schedulers.overrides import State, state_of
from z4j_huey.schedulers.timing import MINUTE, cron_in, validator_of
from z4j_huey.state import HueyState

SCHEDULER: Final = "huey_periodic"
MARK: Final = "z4j_fire"
"""On a task that the clock made, from the scheduler's question to its enqueueing: the schedule's key, and when it was due."""
TOO_LATE: Final = MINUTE
"""What is due by an expression is let pass after this: Huey, too, skips the minutes it slept through."""


class Periodic:
    """Of one Huey object. The scheduler's loop reads `state`, which is replaced whole by the agent's thread."""

    def __init__(self, host: HueyState) -> None:
        self.host = host
        self._begun = 0
        """The process whose scheduler has taken up its overrides."""
        self.state = State()
        self.last: dict[str, int] = {}
        """Key → when this process last fired it."""

    # -- what this process is ------------------------------------------------------------------------------------------
    @property
    def is_firing(self) -> bool:
        """Whether the scheduler's loop runs in this process. `--no-periodic` leaves it running for delayed tasks alone."""
        consumer = self.host.lifecycle.consumer
        if consumer is None or not consumer.periodic:
            return False
        return consumer.worker_type != "process" or self._is_child

    @property
    def _is_child(self) -> bool:
        """By the name Huey gives it (huey/consumer.py, Consumer.__init__)."""
        return self.host.lifecycle.consumer.worker_type == "process" and multiprocessing.current_process().name == "Scheduler"

    @guard("the start of the scheduler")
    def _look(self) -> None:
        """Before each answer: the overrides that are kept on disk, where there are others since the last look."""
        if self._begun == os.getpid():
            if override_store(SCHEDULER).changed():
                self.apply(override_store(SCHEDULER).overrides)
            return
        self._begun = os.getpid()
        self.apply(override_store(SCHEDULER).read())
        agent = z4j_agent.current()
        if agent is not None and self._is_child:
            agent.become_scheduler(f"{self.host.huey.name}-scheduler@{agent.host}.{os.getpid()}")
            # A child of multiprocessing runs no `atexit`, and what is registered at its fork is forgotten before it runs.
            Finalize(None, agent.close, exitpriority=10)

    def apply(self, overrides: list[Override]) -> dict[str, str]:
        """Makes these the changes that hold. Returns key → why of those that cannot; the code's own entry stays then."""
        self.state, failed = state_of(self.host, overrides, self.state, now())
        return failed

    # -- in the scheduler's loop ---------------------------------------------------------------------------------------
    def around_read_periodic(self, read: Callable[[Any], Any], timestamp: datetime | None = None) -> Any:
        """Once a minute: the code's entries, less those that are switched off, changed or deleted."""
        if not self.is_firing:
            return read(timestamp)
        self._look()
        at, asked = now(), timestamp or self.host.huey._get_timestamp()
        tasks = read(asked)
        remaining = self._left(tasks, at, asked)
        return tasks if remaining is None else remaining

    @guard("periodic tasks")
    def _left(self, tasks: list[Any], at: int, asked: datetime) -> list[Any]:
        due_at = to_us(asked, is_utc=self.host.huey.utc) or at
        if not self.host.huey.utc and abs(due_at - at) > 30 * MINUTE:
            due_at = at  # the hour that comes twice, which a naive time cannot tell from the first
        state, left = self.state, []
        for task in tasks:
            key = name_of(task)
            if key in state.hidden:
                continue
            is_by_minute = cron_in(validator_of(type(task))) is not None
            setattr(task, MARK, (key, due_at // MINUTE * MINUTE if is_by_minute else due_at))
            left.append(task)
        return left

    @guard("schedules of operators")
    def due(self) -> list[Any]:
        """Every second: the tasks of entries that are new or changed, and whose time has come."""
        if not self.is_firing:
            return []
        self._look()
        at, due_tasks = now(), []
        for planned in self.state.plan.values():
            due_at = planned.next_at
            if due_at is None or due_at > at or not planned.is_enabled:
                continue
            planned.skip_past(at)
            if planned.spec.kind == "cron" and at - due_at > TOO_LATE:
                report_fire(SCHEDULER, planned.key, due_at, outcome="missed")
                continue
            task = planned.make()
            setattr(task, MARK, (planned.key, planned.latest(due_at, at)))
            due_tasks.append(task)
        return due_tasks

    # -- whoever enqueues ----------------------------------------------------------------------------------------------
    def around_enqueue(self, enqueue: Callable[[Any], Any], task: Any) -> Any:
        """Of every task: whether the clock made it, and what came of enqueueing it."""
        fire = getattr(task, MARK, None)
        if fire is None:
            return enqueue(task)
        with contextlib.suppress(AttributeError):  # it goes on to be pickled by whoever likes
            delattr(task, MARK)
        try:
            result = enqueue(task)
        except Exception as error:
            self._report(fire, task, error)
            raise
        self._report(fire, task, None)
        return result

    @guard("a fire")
    def _report(self, fire: tuple[str, int], task: Any, error: Exception | None) -> None:
        key, due_at = fire
        self.last[key] = now()
        report_fire(SCHEDULER, key, due_at, task.id, error)


def expression_of(validator: Any, default: str) -> str:
    """Huey's own words for an entry that no expression can tell: where its function is."""
    module, name = getattr(validator, "__module__", ""), getattr(validator, "__qualname__", "")
    return f"{module}.{name}" if module and name else default
