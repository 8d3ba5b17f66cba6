# SPDX-License-Identifier: Apache-2.0
"""Hooks of arq's cron jobs: they report fires of every worker and apply overrides.

About twice a second a worker iterates over its list `cron_jobs` (arq, worker.py:run_cron), and enqueues entries that are due within the
next moment, to run at their time. Overrides replace this list. An entry of z4j is a `CronJob` like any other; when arq enqueues it, its
function's name and its arguments are inserted, which arq's own entries cannot contain. All workers of a queue do the same, and because
the job's ID consists of the name and the time, only one of them succeeds: that one reports the fire.
"""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from arq.cron import cron

from z4j_agent.capture.guard import guard
from z4j_agent.capture.hooks import now, override_store, report_fire
from z4j_agent.contract.adapter import Refused
from z4j_agent.contract.overrides import Resolved, merge_arguments, resolve
from z4j_agent.contract.scheduler import Override, ScheduleSpec
from z4j_agent.runtime.native_threads import ticks
from z4j_arq.messages import task_id_of
from z4j_arq.schedulers.overrides import fields_of, micro, zone_of

SCHEDULER: Final = "arq_cron"
PREFIX: Final = "cron:"
LOOK_S: Final = 1.0
"""Seconds between two checks by a worker for changed overrides on disk; each costs one `stat`."""
AHEAD: Final = 60_000_000
"""arq sends no sooner than twice its `poll_delay` before the time. A time that seems to be further ahead is a local time that the clocks
skip: arq compares local times, and treats it as past after the change."""
OWN_ARGUMENTS: Final = frozenset({"function", "_job_id", "_queue_name", "_defer_until", "_defer_by", "_expires", "_job_try"})


@dataclass(frozen=True, slots=True)
class OverriddenEntry:
    """An entry that is new or changed."""

    spec: ScheduleSpec
    job: Any
    """Its `CronJob`."""
    expression: str
    function: str
    args: list[Any]
    kwargs: dict[str, Any]
    is_enabled: bool


@dataclass(slots=True)
class Table:
    """One worker's cron jobs: those of its code, and the applied overrides. Every field is replaced as a whole."""

    coded: dict[str, Any]
    """Key → CronJob, in the application's order."""
    keys: dict[int, str]
    """`id` of a CronJob → key, also for planned entries: two may have the same name."""
    plan: dict[str, OverriddenEntry] = field(default_factory=dict)
    deleted: frozenset[str] = frozenset()
    off: frozenset[str] = frozenset()
    overrides: list[Override] = field(default_factory=list)
    """The overrides from which the table was made."""
    last: dict[str, int] = field(default_factory=dict)
    """Key → when this process last fired it, in microseconds UTC."""
    looked_at: float = 0.0
    has_begun: bool = False
    """Whether arq has iterated over the list; before that, `run_at_startup` is still pending."""
    waiting: dict[FireReport, asyncio.TimerHandle] = field(default_factory=dict)
    """Fires that were sent ahead of their time."""


@dataclass(frozen=True, slots=True)
class Beat:
    """One pass of a worker over its list: key and due time of each name, and the entries planned meanwhile."""

    table: Table
    plan: dict[str, OverriddenEntry]
    due: dict[str, list[tuple[str, int]]]


@dataclass(frozen=True, slots=True)
class Fire:
    table: Table
    key: str
    due_at: int


@dataclass(frozen=True, slots=True, eq=False)
class FireReport:
    """The outcome of a fire."""

    fire: Fire
    task_id: str
    error: BaseException | None = None


@guard("a fire")
def _report(report: FireReport) -> None:
    fire, at = report.fire, now()
    fire.table.last[fire.key] = at
    report_fire(SCHEDULER, fire.key, fire.due_at if fire.due_at - at <= AHEAD else at, report.task_id, report.error)


beat: ContextVar[Beat | None] = ContextVar("z4j_arq_beat", default=None)
"""Set while arq enqueues due entries; asyncio copies it into the tasks that enqueue."""


def keyed(jobs: list[Any]) -> dict[str, Any]:
    """CronJobs by name, without the prefix `cron:` that arq adds to the function's (arq, cron.py:cron); a second of the same name is
    numbered."""
    keys: dict[str, Any] = {}
    for job in jobs:
        name = key = job.name.removeprefix(PREFIX) or job.name
        number = 1
        while key in keys:
            number += 1
            key = f"{name} ({number})"
        keys[key] = job
    return keys


class CronTables:
    """The tables of all workers of this process."""

    def __init__(self) -> None:
        self._tables: weakref.WeakKeyDictionary[Any, Table] = weakref.WeakKeyDictionary()
        self._applying = threading.Lock()
        """The agent's thread waits for this lock; a worker's loop tries again later instead, except in its first pass, where it waits
        briefly."""

    def table_of(self, worker: Any) -> Table:
        """Returns the table of this worker; at the first call, its list is the code's."""
        table = self._tables.get(worker)
        if table is None:
            coded = keyed(worker.cron_jobs)
            table = self._tables[worker] = Table(coded, {id(job): key for key, job in coded.items()})
        return table

    def forget(self) -> None:
        """Restores every worker's own list."""
        for worker, table in list(self._tables.items()):
            put(worker, table, Resolved())
        self._tables.clear()

    # -- in the worker's loop ------------------------------------------------------------------------------------------
    @guard("the cron jobs of a worker")
    def on_beat(self, worker: Any, at: datetime) -> Beat:
        """Called before each pass. The first pass already uses the stored overrides."""
        table, clock = self.table_of(worker), ticks()
        if not table.has_begun or clock - table.looked_at >= LOOK_S:
            table.looked_at = clock
            self._look(worker, table)
        counted = Beat(table, table.plan, {})
        for job in worker.cron_jobs:
            if id(job) in table.keys:
                counted.due.setdefault(job.name, []).append((table.keys[id(job)], micro(job.next_run or at)))
        return counted

    def _look(self, worker: Any, table: Table) -> None:
        if not self._applying.acquire(timeout=0 if table.has_begun else LOOK_S):
            return
        try:
            overrides = override_store(SCHEDULER).read()
            if table.overrides != overrides:  # another worker of this process may have read them before
                self._apply(worker, table, overrides)
        finally:
            self._applying.release()
            table.has_begun = True

    @guard("a cron job")
    def on_enqueue(self, args: tuple[Any, ...], options: dict[str, Any]) -> tuple[Fire, tuple[Any, ...], dict[str, Any]] | None:
        """If arq's cron is enqueueing, returns the fire and the arguments for `enqueue_job`."""
        current_beat = beat.get()
        if current_beat is None or not args:
            return None
        key, due_at = _which(current_beat, str(args[0]), options)
        planned = current_beat.plan.get(key) or current_beat.table.plan.get(key)
        fire = Fire(current_beat.table, key, due_at)
        return (fire, args, options) if planned is None else (fire, (planned.function, *planned.args), {**options, **planned.kwargs})

    @guard("a fire")
    def report_sent(self, fire: Fire, job: Any, enqueued_ms: int, error: BaseException | None) -> None:
        """Called by the worker whose job was accepted. The fire is reported when it is due: arq sends a job up to a second before."""
        if error is not None:
            report = FireReport(fire, "", error)
        elif job is not None:
            report = FireReport(fire, task_id_of(job.job_id, enqueued_ms))
        else:
            return  # another worker's: the ID exists
        early = fire.due_at - now()
        if early <= 0 or error is not None or early > AHEAD:
            _report(report)
            return
        waiting = fire.table.waiting
        waiting[report] = asyncio.get_running_loop().call_later(early / 1_000_000, lambda: waiting.pop(report, None) and _report(report))

    @guard("the last fires of a worker")
    def on_end(self, worker: Any) -> None:
        """Reports fires that were sent ahead of their time, because the worker ends."""
        waiting = self.table_of(worker).waiting
        while waiting:
            report, timer = waiting.popitem()
            timer.cancel()
            _report(report)

    # -- overrides -----------------------------------------------------------------------------------------------------
    def apply(self, worker: Any, overrides: list[Override]) -> dict[str, str]:
        """Applies these overrides in this worker. Returns key → reason of those that cannot be applied; the code's own entry is used
        then."""
        with self._applying:
            return self._apply(worker, self.table_of(worker), overrides)

    @staticmethod
    def _apply(worker: Any, table: Table, overrides: list[Override]) -> dict[str, str]:
        resolved = resolve(overrides, table.coded, lambda override, spec: _planned(worker, table, override, spec))
        put(worker, table, resolved)
        table.overrides = overrides
        return resolved.failed


def _which(current_beat: Beat, name: str, options: dict[str, Any]) -> tuple[str, int]:
    """The key and the due time of the job that arq enqueues under this name. Its ID ends with that time, unless the application chooses
    it (`unique`, `job_id`); then the first entry of that name is used, and arq iterates in the same order."""
    due_entries = current_beat.due.get(name, [])
    for number, (_, due_at) in enumerate(due_entries):
        if options.get("_job_id") == f"{name}:{due_at // 1000}":
            return due_entries.pop(number)
    if due_entries:
        return due_entries.pop(0)
    until = options.get("_defer_until")  # added to the list after this pass had started
    return name.removeprefix(PREFIX), micro(until) if isinstance(until, datetime) else now()


def put(worker: Any, table: Table, resolved: Resolved[OverriddenEntry]) -> None:
    """Replaces the worker's list as a whole: arq iterates over it in one step of its loop, and may be doing so now."""
    present, plan = {id(job) for job in worker.cron_jobs}, resolved.changed
    fresh = [job for key, job in table.coded.items() if key not in resolved.deleted and key not in resolved.off and key not in plan]
    fresh += [planned.job for planned in plan.values() if planned.is_enabled]
    for job in fresh:
        if table.has_begun and id(job) not in present:  # else arq would catch up all missed runs
            job.calculate_next(datetime.now(tz=worker.timezone))
    table.keys = {id(job): key for key, job in table.coded.items()} | {id(planned.job): key for key, planned in plan.items()}
    table.plan, table.deleted, table.off = plan, resolved.deleted, resolved.off
    if [id(job) for job in fresh] != [id(job) for job in worker.cron_jobs]:
        worker.cron_jobs = fresh


def _planned(worker: Any, table: Table, override: Override, spec: ScheduleSpec) -> OverriddenEntry:
    """The changed entry. Raises Refused if arq does not support it."""
    key = override.key
    coded = None if override.is_new else table.coded[key]
    function = spec.task_name or (coded.name if coded is not None else "")
    known = worker.functions.get(function)
    if known is None:
        raise Refused(f"this worker has no function {function or 'without a name'}. No changes were made.")
    if spec.queue and spec.queue != worker.queue_name:
        raise Refused(f"this worker enqueues its cron jobs to {worker.queue_name} only. No changes were made.")
    if spec.priority is not None:
        raise Refused("arq does not support priorities. No changes were made.")
    fields, expression = fields_of(spec, zone_of(worker.timezone))
    before = table.plan.get(key)
    args, kwargs = merge_arguments(spec, before.args, before.kwargs) if before is not None else merge_arguments(spec)
    if taken := sorted(OWN_ARGUMENTS & kwargs.keys()):
        raise Refused(f"the argument {taken[0]} is reserved by arq. No changes were made.")
    is_enabled = override.is_enabled and spec.is_enabled
    if before is not None and before.is_enabled and is_enabled and before.expression == expression:
        job = before.job  # it continues where it was
    elif coded is not None:
        job = dataclasses.replace(coded, **fields, next_run=None)
    else:
        job = cron(known.coroutine, name=f"{PREFIX}{key}", **fields)
    return OverriddenEntry(spec, job, expression, function, args, kwargs, is_enabled)


Wrapped = Callable[..., Any]


def around_run_cron(crons: CronTables, original: Wrapped) -> Wrapped:
    """Wraps `Worker.run_cron`, which receives the time of the pass first."""

    async def run_cron(worker: Any, /, *args: Any, **kwargs: Any) -> Any:
        at = args[0] if args else kwargs.get("n")
        token = beat.set(crons.on_beat(worker, at) if isinstance(at, datetime) else None)
        try:
            return await original(worker, *args, **kwargs)
        finally:
            beat.reset(token)

    return run_cron
