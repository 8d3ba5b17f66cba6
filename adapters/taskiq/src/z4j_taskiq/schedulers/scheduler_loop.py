# SPDX-License-Identifier: Apache-2.0
"""The scheduler's loop of this process: its entries, its fires and their due times. Times are in microseconds UTC.

`SchedulerLoop` keeps its entries and their last runs in memory, reads its sources again every update interval, and calls
`TaskiqScheduler.on_ready` for each entry that is due (cli/scheduler/run.py). Found by experiment: a removed entry fires until the
sources are read again, and setting `scheduled_tasks_updated_at` back makes the loop read them in its next pass.
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import taskiq.cli.scheduler.run

import z4j_agent
from z4j_agent.capture.guard import faults, guard, let_through
from z4j_agent.capture.hooks import now, override_store, report_fire
from z4j_agent.contract.adapter import Refused
from z4j_agent.contract.scheduler import Override
from z4j_agent.runtime.patching import Patches
from z4j_taskiq.schedulers.overrides import Entry, Plan, interval_of, is_once, is_retry, plan_of, time_of
from z4j_taskiq.schedulers.sources import Store, is_store, store_of
from z4j_taskiq.schedulers.timing import SECOND

T = TypeVar("T")

SCHEDULER = "taskiq_scheduler"
LOOP_CLASS: Any = getattr(taskiq.cli.scheduler.run, "SchedulerLoop", None)
"""None before taskiq 0.12, which has a function instead."""
WAIT_S = 10.0
AT_ONCE = datetime.min.replace(tzinfo=UTC)
SENT: ContextVar[list[str] | None] = ContextVar("z4j_taskiq_sent", default=None)
"""Collects the IDs of tasks that this context sends while an entry is being fired."""


def connects_later(broker: Any) -> bool:
    """Whether this is the process of `taskiq scheduler`, which connects when its loop is created, and not at its first send."""
    return LOOP_CLASS is not None and bool(getattr(broker, "is_scheduler_process", False))


class Firing:
    """One SchedulerLoop with its scheduler and its sources."""

    def __init__(self, loop: Any, event_loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.scheduler = loop.scheduler
        self.broker = loop.scheduler.broker
        self.stores: list[Store] = [store_of(source) for source in self.scheduler.sources if is_store(source)]
        self.coded: list[Any] = [source for source in self.scheduler.sources if not is_store(source)]
        self.plan = Plan()
        self.last: dict[str, int] = {}
        """Key → when it last fired in this process."""
        self.over: set[str] = set()
        """IDs of additional one-offs that were sent, or whose time had passed when they were first received."""
        self.tick = 1.0
        self._event_loop = event_loop
        self._pid = os.getpid()
        self._is_on = False
        self._is_planned = False
        self._overrides: list[Override] = []
        self._keys: dict[str, str] = {}
        self._seen: set[str] = set()
        self._ticks: dict[str, datetime] = {}
        self._pristine: dict[int, Callable[[], Awaitable[list[Any]]]] = {}
        self._patches = Patches()

    @property
    def is_running(self) -> bool:
        """Whether the scheduler's loop runs in this process: a forked child has a copy of this object, but not the loop."""
        return self._is_on and self._pid == os.getpid() and self._event_loop.is_running()

    # -- hooks ---------------------------------------------------------------------------------------------------------
    def connect(self) -> None:
        """Called in the loop's thread, before the sources are read for the first time."""
        self._overrides = override_store(SCHEDULER).read()
        self._pristine = {id(source): source.get_schedules for source in self.coded}
        for source in {id(source): source for source in self.coded}.values():
            self._patches.wrap(source, "get_schedules", functools.partial(self._changed, source))
        self._patches.wrap(self.scheduler, "on_ready", self._watched)
        self._patches.wrap(self.loop, "run", self._noted)

    def disconnect(self) -> None:
        """Removes the wrappers, and makes the loop read its sources again. Called in any thread."""
        self._is_on = False
        self._patches.restore()
        if self._event_loop.is_running():
            self._event_loop.call_soon_threadsafe(self.hurry)

    def _noted(self, original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def run(*args: Any, **kwargs: Any) -> None:
            pace = kwargs.get("loop_interval")
            self.tick = max(0.1, pace.total_seconds()) if isinstance(pace, timedelta) else 1.0
            self._is_on = True
            try:
                await original(*args, **kwargs)
            finally:
                self._is_on = False

        return run

    def _changed(self, source: Any, original: Callable[[], Awaitable[list[Any]]]) -> Callable[[], Awaitable[list[Any]]]:
        async def get_schedules() -> list[Any]:
            tasks_read = await original()
            try:
                others = [await self._pristine[id(coded)]() for coded in self.coded if coded is not source]
                self._replan([task for tasks in (tasks_read, *others) for task in tasks])
                return self._entries(source, tasks_read)
            except Exception as error:
                let_through(error)
                faults.report("the overrides of schedules", error)
                return tasks_read

        return get_schedules

    def _replan(self, coded: list[Any]) -> None:
        self.plan = plan_of(self.broker, coded, self._overrides)
        self._keys = {entry.task.schedule_id: entry.key for entry in self.plan.entries.values()}
        self._is_planned = True
        for entry in self.plan.entries.values():
            id = entry.task.schedule_id
            if entry.is_changed and is_once(entry.task) and id not in self._seen:
                self._seen.add(id)
                if time_of(entry.task) <= now() - SECOND:  # it was sent before this process started, or was missed
                    self.over.add(id)

    def _entries(self, source: Any, tasks: list[Any]) -> list[Any]:
        """The entries that taskiq receives from this source; additional entries are added to the first one."""
        own = {task.schedule_id for task in tasks} | ({""} if source is self.coded[0] else set())
        return [entry.task for entry in self.plan.entries.values() if entry.own_id in own and entry.is_enabled and not self.is_over(entry)]

    def _watched(self, original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        @functools.wraps(original)
        async def on_ready(source: Any, task: Any, *args: Any, **kwargs: Any) -> None:
            if self._is_stale(source, task):
                return
            due_at, sent = self._due(task), []  # type: ignore[var-annotated]
            token = SENT.set(sent)
            try:
                await original(source, task, *args, **kwargs)
            except BaseException as error:
                self._report(task, due_at, sent, error)
                raise
            else:
                self._report(task, due_at, sent, None)
            finally:
                SENT.reset(token)

        return on_ready

    @guard("on_ready")
    def _is_stale(self, source: Any, task: Any) -> bool:
        """Whether an operator has changed the entry since taskiq read its sources."""
        if is_store(source) or not self._is_planned:
            return False
        entry = self.plan.entries.get(self._keys.get(task.schedule_id, ""))
        return entry is None or not entry.is_enabled or self.is_over(entry) or _rule(entry.task) != _rule(task)

    @guard("on_ready")
    def _due(self, task: Any) -> int:
        """The due time, from the loop's own data of this run: a cron's minute, an interval's last run plus the interval."""
        id, by_cron, by_interval = task.schedule_id, self._last("cron", task), self._last("interval", task)
        tick = max((tick_at for tick_at in (by_cron, by_interval) if tick_at is not None), default=datetime.now(UTC))
        if task.cron is not None and by_cron == tick:
            return int(tick.timestamp()) // 60 * 60 * SECOND
        every = interval_of(task)
        if every is not None:
            before, self._ticks[id] = self._ticks.get(id), tick
            return (int(tick.timestamp()) if before is None else int(before.timestamp()) + every // SECOND) * SECOND
        return time_of(task) if task.time is not None else now()

    @guard("a fire")
    def _report(self, task: Any, due_at: int | None, sent: list[str], error: BaseException | None) -> None:
        if z4j_agent.current() is None or is_retry(task):
            return
        key = self._keys.get(task.schedule_id, task.schedule_id)
        if error is not None:
            report_fire(SCHEDULER, key, due_at, error=error.__cause__ or error)
            return
        if sent:
            self.last[key] = now()
            report_fire(SCHEDULER, key, due_at, sent[-1])
        else:
            report_fire(SCHEDULER, key, due_at, outcome="skipped", why="its source cancelled it")
        if is_once(task):
            self.over.add(task.schedule_id)

    # -- for the agent's thread ----------------------------------------------------------------------------------------
    def ask(self, call: Callable[[], Awaitable[T]]) -> T:
        """Awaits a call in the scheduler's loop. Raises Refused if that does not respond in time."""

        async def act() -> T:
            return await call()

        future = asyncio.run_coroutine_threadsafe(act(), self._event_loop)
        try:
            return future.result(WAIT_S)
        except TimeoutError:
            future.cancel()
            raise Refused("the scheduler's loop did not respond in time; the result is unknown") from None

    async def apply(self, overrides: list[Override]) -> dict[str, str]:
        """Applies overrides. Returns key → reason of those that cannot be applied."""
        if not self.coded:
            return {override.key: "this scheduler does not read schedules from code" for override in overrides}
        self._overrides = overrides
        self._replan([task for source in self.coded for task in await self._pristine[id(source)]()])
        self.hurry()
        return self.plan.failed

    def hurry(self) -> None:
        """Makes the loop read the sources again in its next pass. Called in the loop."""
        self.loop.scheduled_tasks_updated_at = AT_ONCE

    def forget(self, schedule_id: str) -> None:
        """Stops an entry from firing although taskiq has not read its sources again. Called in the loop."""
        left = [(sent_at, [task for task in tasks if task.schedule_id != schedule_id]) for sent_at, tasks in self.loop.scheduled_tasks]
        self.loop.scheduled_tasks = left
        self.hurry()

    def last_run(self, task: Any) -> datetime | None:
        """Returns the last run of an interval, from which the loop counts."""
        return self._last("interval", task)

    def _last(self, kind: str, task: Any) -> datetime | None:
        last_run = getattr(self.loop, f"{kind}_tasks_last_run", {}).get(task.schedule_id)
        return last_run if isinstance(last_run, datetime) else None

    def is_over(self, entry: Entry) -> bool:
        """Whether it is an operator's one-off whose time has passed: its source does not remove it."""
        return entry.is_changed and entry.task.schedule_id in self.over


def _rule(task: Any) -> tuple[Any, ...]:
    return task.cron, task.cron_offset, interval_of(task), task.time, task.task_name, task.args, task.kwargs
