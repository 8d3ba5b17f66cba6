# SPDX-License-Identifier: Apache-2.0
"""APScheduler's jobs as schedules: listing, changes, and runs. Used in the agent's thread.

It uses the scheduler's own methods, which take its lock and wake it up, from any thread (AsyncIOScheduler.wakeup is a
`call_soon_threadsafe`). A Qt scheduler cannot be woken from another thread: its jobs cannot be changed.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, ClassVar

from apscheduler.jobstores.base import JobLookupError

import z4j_agent
from z4j_agent.capture.guard import let_through
from z4j_agent.capture.hooks import parameter_names
from z4j_agent.capture.originals import is_plain
from z4j_agent.contract.adapter import Finding, Refused, Unsupported
from z4j_agent.contract.overrides import merge_arguments
from z4j_agent.contract.scheduler import EDITS, ScheduleInfo, Scheduler, ScheduleSpec, show_arguments
from z4j_apscheduler.allowed_functions import Offered, name_of
from z4j_apscheduler.job_stores import is_memory, kind_of, read_jobs
from z4j_apscheduler.listeners import RUN, SCHEDULER, Watch
from z4j_apscheduler.triggers import limits_of, rule_of, trigger_of, zone_name

RUN_WITHIN_S = 60
"""Seconds after which a requested run is dropped if the process could not execute it."""
FORGETS = "a change is lost when this process ends, because the store is in its memory"
OPAQUE = "its trigger cannot be written as an expression"
QT = "a Qt scheduler can only be changed by its own thread"

_watched: list[ApScheduler] = []
"""At most one; read after a fork."""
_is_fork_watched = False


class ApScheduler(Scheduler):
    """Every scheduler of this process that was given to `install`."""

    scheduler: ClassVar[str] = SCHEDULER
    engine: ClassVar[str] = SCHEDULER

    def __init__(self, scheduler: Any, name: str = "", functions: Iterable[Any] = ()) -> None:
        self._watches = [Watch(scheduler, name)]
        self._offered = Offered()
        self._offered.add(functions)
        self._unreadable = 0

    def watch(self, scheduler: Any, name: str, functions: Iterable[Any]) -> None:
        """Adds a scheduler of this process. If it is already monitored, only functions are added."""
        self._offered.add(functions)
        if any(watch.scheduler is scheduler for watch in self._watches):
            return
        fresh = Watch(scheduler, name or f"scheduler-{len(self._watches) + 1}")
        self._watches = [*self._watches, fresh]
        fresh.connect()

    def unwatch(self, scheduler: Any) -> None:
        gone = [watch for watch in self._watches if watch.scheduler is scheduler]
        self._watches = [watch for watch in self._watches if watch not in gone]
        for watch in gone:
            watch.disconnect()

    def install(self) -> None:
        _watch_forks()
        _watched[:] = [self]
        agent = z4j_agent.current()
        if agent is not None:
            agent.close_at_exit()
        for watch in self._watches:
            watch.connect()

    def uninstall(self) -> None:
        _watched.clear()
        for watch in self._watches:
            watch.disconnect()

    # -- the scheduler-------------------------------------------------------------------------------------------------
    @property
    def store(self) -> str:
        kinds = {kind_of(store) for _, _, store in self._stores() if not is_memory(store)}
        has_memory = any(is_memory(store) and store._jobs for _, _, store in self._stores())
        return ", ".join(sorted(kinds | ({"memory"} if has_memory or not kinds else set())))

    @property
    def can_create(self) -> bool:
        return any(not _why_not(watch) for watch in self._started())

    def is_here(self) -> bool:
        return bool(self._started())

    def is_firing(self) -> bool:
        return any(watch.is_running for watch in self._watches)

    def zone(self) -> str:
        return next((_zone_of(watch) for watch in self._started()), "UTC")

    def findings(self) -> list[Finding]:
        findings = [
            Finding("warning", f"The application has paused its scheduler{_named(watch)}: no job runs until it is resumed.")
            for watch in self._started()
            if watch.is_paused
        ]
        if self._unreadable:
            what = f"{self._unreadable} stored jobs cannot be loaded here. APScheduler deletes such a job when it is due."
            findings.append(Finding("warning", what, "Their functions or modules are missing from this release of the application."))
        return findings

    def _started(self) -> list[Watch]:
        return [watch for watch in self._watches if watch.is_started]

    def _stores(self) -> list[tuple[Watch, str, Any]]:
        return [(watch, alias, store) for watch in self._started() for alias, store in list(watch.scheduler._jobstores.items())]

    # -- the list ------------------------------------------------------------------------------------------------------
    def list_schedules(self) -> list[ScheduleInfo]:
        entries, unreadable = [], 0
        for watch, alias, store in self._stores():
            read = watch.ask(lambda watch=watch, store=store: read_jobs(watch.scheduler, store))  # type: ignore[misc]
            unreadable += read.unreadable
            entries += [_info(watch, alias, job, is_forgotten=is_memory(store)) for job in read.jobs if not job.id.startswith(RUN)]
        self._unreadable = unreadable
        return entries

    # -- commands-----------------------------------------------------------------------------------------
    def save_schedule(self, spec: ScheduleSpec) -> dict[str, Any]:
        """Creates a job, or changes the one of this key. Raises Refused."""
        if spec.priority is not None:
            raise Refused("APScheduler does not support priorities. No changes were made.")
        if not spec.key:
            return self._create(spec)
        watch, alias, job = self._find(spec.key, "save")
        watch.ask(lambda: _refusing(lambda: watch.scheduler.modify_job(job.id, alias, **self._changes(watch, alias, job, spec))))
        return {"key": spec.key}

    def delete_schedule(self, key: str) -> dict[str, Any]:
        watch, alias, job = self._find(key, "delete")
        watch.ask(lambda: _refusing(lambda: watch.scheduler.remove_job(job.id, alias)))
        return {}

    def enable_schedule(self, key: str) -> dict[str, Any]:
        """Enables a job. `resume_job` would delete one without a further due time; that is refused."""
        watch, alias, job = self._find(key, "enable")
        if job.next_run_time is None:
            at = _next_of(watch, job.trigger)
            watch.ask(lambda: _refusing(lambda: watch.scheduler.modify_job(job.id, alias, next_run_time=at)))
        return {}

    def disable_schedule(self, key: str) -> dict[str, Any]:
        watch, alias, job = self._find(key, "disable")
        watch.ask(lambda: _refusing(lambda: watch.scheduler.pause_job(job.id, alias)))
        return {}

    def fire_schedule(self, key: str) -> dict[str, Any]:
        """Runs the function as a new job that runs once, in the same store and executor. Returns its ID as `task_id`."""
        watch, alias, job = self._find(key, "fire")
        id = RUN + uuid.uuid4().hex

        def add() -> None:
            watch.scheduler.add_job(
                _function_of(watch, alias, job), "date", job.args, job.kwargs, id, job.name, run_date=datetime.now(UTC),
                misfire_grace_time=RUN_WITHIN_S, coalesce=True, max_instances=1, jobstore=alias, executor=job.executor,
            )  # fmt: skip

        watch.ask(lambda: _refusing(add))
        return {"task_id": id}

    # -- its parts -----------------------------------------------------------------------------------------------------
    def _find(self, key: str, edit: str) -> tuple[Watch, str, Any]:
        """The job of a key. Raises Refused if it does not exist, or does not support the edit."""
        started = self._started()
        if not started:
            raise Unsupported("this process does not run a scheduler")
        for watch in sorted(started, key=lambda candidate: not candidate.name):
            own = key.removeprefix(f"{watch.name}/") if watch.name else key
            if own.startswith(RUN) or (watch.name and own == key):
                continue
            for alias in sorted(watch.scheduler._jobstores, key=lambda candidate: candidate == "default"):
                id = own if alias == "default" else own.removeprefix(f"{alias}/")
                if id == own and alias != "default":
                    continue
                job = watch.ask(lambda watch=watch, id=id, alias=alias: _refusing(lambda: watch.scheduler.get_job(id, alias)))  # type: ignore[misc]
                if job is None:
                    continue
                if why := _unsupported_edits(watch, rule_of(job.trigger, _zone_of(watch)).kind).get(edit):
                    raise Refused(why)
                return watch, alias, job
        raise Refused("no such schedule exists now. No changes were made.")

    def _create(self, spec: ScheduleSpec) -> dict[str, Any]:
        watch = next((candidate for candidate in self._started() if not _why_not(candidate)), None)
        if watch is None:
            raise Unsupported("this process runs no scheduler that can be changed. No changes were made.")
        stores = watch.scheduler._jobstores
        lasting = [alias for alias in sorted(stores, key=lambda candidate: candidate != "default") if not is_memory(stores[alias])]
        alias = lasting[0] if lasting else "default"
        executor = spec.queue or "default"
        _check_executor(watch, executor)
        trigger = trigger_of(spec, _zone_of(watch))
        at = _next_of(watch, trigger)
        function = self._function(spec.task_name)
        args, kwargs = merge_arguments(spec)
        id = uuid.uuid4().hex

        def add() -> None:
            watch.scheduler.add_job(
                function, trigger, args, kwargs, id, spec.name or None, jobstore=alias, executor=executor,
                next_run_time=at if spec.is_enabled else None,
            )  # fmt: skip

        watch.ask(lambda: _refusing(add))
        return {"key": watch.key_of(alias, id)}

    def _changes(self, watch: Watch, alias: str, job: Any, spec: ScheduleSpec) -> dict[str, Any]:
        """The changes for `modify_job`: only differing fields, so that the next run is not changed."""
        own_zone = _zone_of(watch)
        rule, changes = rule_of(job.trigger, own_zone), {}
        at = job.next_run_time
        if (spec.kind, spec.expression) != (rule.kind, rule.expression) or (spec.kind != "interval" and spec.timezone != rule.timezone):
            changes["trigger"] = trigger_of(spec, own_zone, job.trigger)
            at = _next_of(watch, changes["trigger"])
        elif spec.is_enabled and at is None:
            at = _next_of(watch, job.trigger)
        if not spec.is_enabled:
            at = None
        if at != job.next_run_time:
            changes["next_run_time"] = at
        if spec.name and spec.name != job.name:
            changes["name"] = spec.name
        if spec.queue and spec.queue != job.executor:
            _check_executor(watch, spec.queue)
            changes["executor"] = spec.queue
        if spec.task_name and spec.task_name != name_of(job):
            changes["func"] = self._function(spec.task_name)
        if spec.args is not None or spec.kwargs is not None:
            args, kwargs = list(job.args), dict(job.kwargs)
            if (spec.args is not None and not is_plain(args)) or (spec.kwargs is not None and not is_plain(kwargs)):
                raise Refused("its arguments are objects that cannot be written as JSON")
            args, kwargs = merge_arguments(spec, args, kwargs)
            changes["args"], changes["kwargs"] = tuple(args), kwargs
        return changes

    def knows_task(self, name: str) -> bool:
        """Whether the application passed the function to `install`, or a job of a store already runs it."""
        return self._known(name) is not None

    def _function(self, name: str) -> Any:
        """The function of a name. Raises Refused if no job runs it and the application has not offered it."""
        function = self._known(name)
        if function is None:
            what = name[:200] or "a function without a name"
            raise Refused(
                f"no job runs {what}, and it is not among the functions of install(). No changes were made.", check="task.unknown"
            )
        return function

    def _known(self, name: str) -> Any:
        """The function for `add_job`; None if it is neither offered nor run by a job."""
        function = self._offered.get(name)
        if function is not None:
            return function
        for watch, alias, store in self._stores():
            read = watch.ask(lambda watch=watch, store=store: read_jobs(watch.scheduler, store))  # type: ignore[misc]
            for job in read.jobs:
                if job.func_ref is not None and job.func_ref == name:
                    return _function_of(watch, alias, job)
        return None


# -- one job -------------------------------------------------------------------------------------------------------------
def _info(watch: Watch, alias: str, job: Any, *, is_forgotten: bool) -> ScheduleInfo:
    agent = z4j_agent.current()
    rule = rule_of(job.trigger, _zone_of(watch))
    args, kwargs = show_arguments(job.args, job.kwargs, agent.settings.redact if agent is not None else (), _parameters(job.func))
    notes = "; ".join([*limits_of(job.trigger), *([FORGETS] if is_forgotten else [])])
    if job.executor not in watch.scheduler._executors:
        notes = f"there is no executor {job.executor}, and APScheduler deletes the job when it is due"
    return ScheduleInfo(
        key=watch.key_of(alias, job.id),
        name=job.name,
        kind=rule.kind,
        expression=rule.expression,
        timezone=rule.timezone,
        task_name=name_of(job),
        args=args,
        kwargs=kwargs,
        queue=job.executor,
        is_enabled=job.next_run_time is not None,
        next_at=None if job.next_run_time is None else int(job.next_run_time.timestamp() * 1_000_000),
        last_at=watch.last.get((alias, job.id)),
        unable=_unsupported_edits(watch, rule.kind),
        note=f"{notes[:1].upper()}{notes[1:]}." if notes else "",
    )


def _unsupported_edits(watch: Watch, kind: str) -> dict[str, str]:
    if why := _why_not(watch):
        return dict.fromkeys(EDITS, why)
    unsupported = {"save": OPAQUE} if kind == "other" else {}
    if watch.is_paused:
        unsupported["fire"] = "the application has paused the scheduler"
    return unsupported


def _why_not(watch: Watch) -> str:
    return QT if any(base.__name__ == "QtScheduler" for base in type(watch.scheduler).__mro__) else ""


def _parameters(function: Any) -> tuple[str, ...]:
    try:
        return parameter_names(function)
    except TypeError:  # it cannot be hashed
        return ()


def _function_of(watch: Watch, alias: str, job: Any) -> Any:
    """The function for `add_job`. A store in memory contains the object itself, which may be a bound method or have no reference; any
    other store contains a reference, which the object itself may lack."""
    return job.func if is_memory(watch.scheduler._jobstores.get(alias)) else job.func_ref


def _check_executor(watch: Watch, name: str) -> None:
    known = sorted(watch.scheduler._executors)
    if name not in known:
        raise Refused(f"this scheduler has no executor {name[:60]}, only {', '.join(known)}. No changes were made.", check="queue.unknown")


def _next_of(watch: Watch, trigger: Any) -> Any:
    """The first due time of a trigger. Raises Refused if there is none."""
    next_at = trigger.get_next_fire_time(None, datetime.now(watch.scheduler.timezone))
    if next_at is None:
        raise Refused("it would never be due. No changes were made.")
    return next_at


def _zone_of(watch: Watch) -> str:
    return zone_name(watch.scheduler.timezone) or "UTC"


def _named(watch: Watch) -> str:
    return f" {watch.name}" if watch.name else ""


def _refusing(act: Any) -> Any:
    """Calls APScheduler and turns its exceptions into Refused."""
    try:
        return act()
    except JobLookupError:
        raise Refused("no such schedule exists now. No changes were made.") from None
    except (ValueError, TypeError, LookupError) as error:
        let_through(error)
        raise Refused(f"APScheduler refused the change: {str(error)[:300]}") from None


# -- forks ---------------------------------------------------------------------------------------------------------------
def _watch_forks() -> None:
    global _is_fork_watched
    if not _is_fork_watched:
        _is_fork_watched = True
        os.register_at_fork(after_in_child=_after_fork_in_child)


def _after_fork_in_child() -> None:
    """Called in a forked child, which has the scheduler's state but not its thread, so it is not a scheduler."""
    agent = z4j_agent.current()
    if _watched and agent is not None and agent.role == "scheduler" and agent.worker.startswith(f"{SCHEDULER}@"):
        agent.role, agent.worker = "producer", ""
