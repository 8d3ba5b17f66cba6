# SPDX-License-Identifier: Apache-2.0
"""Hooks of Huey's own scheduler: they report its fires and apply overrides.

The loop of a consumer's scheduler calls `read_schedule` every second and `read_periodic` every minute (huey/consumer.py,
Scheduler.loop), and enqueues the tasks that both return. So a disabled entry is removed from the result of the second, and a changed or
new entry is added to the result of the first when it is due. The application's objects are not changed: without overrides both return
the same as without z4j. With process workers the scheduler is a forked child, which gets an agent of its own at its first call.
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
FIRE: Final = "z4j_fire"
"""Attribute of a scheduled task between the scheduler's call and the enqueueing: the schedule's key and its due time."""
TOO_LATE: Final = MINUTE
"""Microseconds after which a time of an expression is skipped: Huey, too, skips the minutes in which it did not run."""


class Periodic:
    """The schedules of one Huey object. The scheduler's loop reads `state`, which the agent's thread replaces as a whole."""

    def __init__(self, host: HueyState) -> None:
        self.host = host
        self._started_pid = 0
        """The process whose scheduler has read its overrides."""
        self.state = State()
        self.last: dict[str, int] = {}
        """Key → when this process last fired it, in microseconds UTC."""

    # -- this process---------------------------------------------------------------------------------------
    @property
    def is_firing(self) -> bool:
        """Whether the scheduler's loop runs in this process. With `--no-periodic` it runs for delayed tasks only."""
        consumer = self.host.lifecycle.consumer
        if consumer is None or not consumer.periodic:
            return False
        return consumer.worker_type != "process" or self._is_child

    @property
    def _is_child(self) -> bool:
        """Whether this is the scheduler's child process, by the name that Huey gives it (huey/consumer.py, Consumer.__init__)."""
        return self.host.lifecycle.consumer.worker_type == "process" and multiprocessing.current_process().name == "Scheduler"

    @guard("the start of the scheduler")
    def _look(self) -> None:
        """Called before each pass: reads the stored overrides if they have changed."""
        if self._started_pid == os.getpid():
            if override_store(SCHEDULER).changed():
                self.apply(override_store(SCHEDULER).overrides)
            return
        self._started_pid = os.getpid()
        self.apply(override_store(SCHEDULER).read())
        agent = z4j_agent.current()
        if agent is not None and self._is_child:
            agent.become_scheduler(f"{self.host.huey.name}-scheduler@{agent.host}.{os.getpid()}")
            # A child of multiprocessing runs no `atexit`, and functions registered at its fork are dropped before it runs.
            Finalize(None, agent.close, exitpriority=10)

    def apply(self, overrides: list[Override]) -> dict[str, str]:
        """Applies these overrides. Returns key → reason of those that cannot be applied; the code's own entry is used then."""
        self.state, failed = state_of(self.host, overrides, self.state, now())
        return failed

    # -- in the scheduler's loop ---------------------------------------------------------------------------------------
    def around_read_periodic(self, read: Callable[[Any], Any], timestamp: datetime | None = None) -> Any:
        """Called once a minute: removes disabled, changed and deleted entries from the code's due tasks."""
        if not self.is_firing:
            return read(timestamp)
        self._look()
        at, fire_time = now(), timestamp or self.host.huey._get_timestamp()
        tasks = read(fire_time)
        remaining = self._left(tasks, at, fire_time)
        return tasks if remaining is None else remaining

    @guard("periodic tasks")
    def _left(self, tasks: list[Any], at: int, fire_time: datetime) -> list[Any]:
        due_at = to_us(fire_time, is_utc=self.host.huey.utc) or at
        if not self.host.huey.utc and abs(due_at - at) > 30 * MINUTE:
            due_at = at  # the repeated hour, which a naive time cannot distinguish from the first
        state, left = self.state, []
        for task in tasks:
            key = name_of(task)
            if key in state.hidden:
                continue
            is_by_minute = cron_in(validator_of(type(task))) is not None
            setattr(task, FIRE, (key, due_at // MINUTE * MINUTE if is_by_minute else due_at))
            left.append(task)
        return left

    @guard("schedules of operators")
    def due(self) -> list[Any]:
        """Called every second: the tasks of new and changed entries that are due."""
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
            setattr(task, FIRE, (planned.key, planned.latest(due_at, at)))
            due_tasks.append(task)
        return due_tasks

    # -- enqueueing ----------------------------------------------------------------------------------------------------
    def around_enqueue(self, enqueue: Callable[[Any], Any], task: Any) -> Any:
        """Called for every enqueued task: reports the fire if the scheduler created it."""
        fire = getattr(task, FIRE, None)
        if fire is None:
            return enqueue(task)
        with contextlib.suppress(AttributeError):  # it may be pickled later
            delattr(task, FIRE)
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
    """Returns the text for an entry without an expression: the location of its function."""
    module, name = getattr(validator, "__module__", ""), getattr(validator, "__qualname__", "")
    return f"{module}.{name}" if module and name else default
