# SPDX-License-Identifier: Apache-2.0
"""The entries of RQ's cron in code, and with overrides. Without I/O.

Each is a `CronJob` of RQ's, which computes its own times. The code's objects are never changed except for their next time: a changed
entry is a new object. RQ before 2.7 has other names for the two times.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from datetime import MAXYEAR, UTC, datetime, timedelta
from typing import Any

from rq.version import VERSION

import z4j_agent
from z4j_agent.capture.guard import let_through
from z4j_agent.commands.permissions import why_not
from z4j_agent.contract.adapter import Refused
from z4j_agent.contract.overrides import merge_arguments, resolve
from z4j_agent.contract.scheduler import Override, ScheduleSpec, read_cron, read_whole_interval
from z4j_agent.runtime.time_zones import check_only_zone, zone_of_host
from z4j_rq.messages import function_of, to_us
from z4j_rq.schedulers.dialects import Croniter, check_priority, handed
from z4j_rq.state import RqState


@dataclass(slots=True)
class Entry:
    """An entry as it is listed, and, if it is enabled, as it fires."""

    key: str
    name: str
    job: Any
    coded: Any = None
    """The code's own entry, None for an additional one."""
    spec: ScheduleSpec | None = None
    is_enabled: bool = True
    is_deleted: bool = False

    @property
    def is_other_work(self) -> bool:
        """Whether an operator has chosen what it runs."""
        return self.spec is not None and is_other_work(self.spec, self.coded)

    @property
    def is_firing(self) -> bool:
        return self.is_enabled and not self.is_deleted

    def call_options(self) -> dict[str, Any]:
        """Returns the job's own options, as arguments of `Queue.enqueue_call`."""
        return {("timeout" if key == "job_timeout" else key): value for key, value in self.job.job_options.items()}


class Plan:
    """The entries of one `CronScheduler`. `entries` is replaced as a whole."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._former: list[Entry] = []
        """The entries before the last change: the loop may still iterate over the earlier list."""
        self._coded: list[tuple[str, Any]] = []

    def entry_of(self, job: Any) -> Entry | None:
        return next((entry for entry in (*self.entries, *self._former) if entry.job is job), None)

    def jobs(self) -> list[Any]:
        return [entry.job for entry in self.entries if entry.is_firing]

    def coded_jobs(self) -> list[Any]:
        """Returns the entries that the application has registered."""
        return [job for _, job in self._coded]

    def meet(self, cron: Any) -> None:
        """Adds entries that the application has registered since the last call."""
        known = {id(job) for _, job in self._coded} | {id(entry.job) for entry in self.entries}
        for job in list(cron._cron_jobs):
            if id(job) in known:
                continue
            key = self._free_key(name_of_cron(job))
            self._coded.append((key, job))
            self.entries = [*self.entries, Entry(key, name_of_cron(job), job, coded=job)]

    def _free_key(self, name: str) -> str:
        """A key for an entry: several may have the same name; the second is `name#2`."""
        used = {key for key, _ in self._coded}
        if name not in used:
            return name
        return next(f"{name}#{number}" for number in range(2, len(used) + 3) if f"{name}#{number}" not in used)

    def change(self, overrides: list[Override], state: RqState) -> dict[str, str]:
        """Resets the entries to those of the code and applies exactly these overrides. Returns key → reason of those that cannot be
        applied."""
        before = {entry.key: entry for entry in self.entries}
        coded = dict(self._coded)
        resolved = resolve(
            overrides, coded, lambda override, spec: _changed(override, spec, coded.get(override.key), before.get(override.key), state)
        )
        fresh = [
            resolved.changed.get(key)
            or Entry(key, name_of_cron(job), job, coded=job, is_enabled=key not in resolved.off, is_deleted=key in resolved.deleted)
            for key, job in coded.items()
        ]
        fresh += [entry for key, entry in resolved.changed.items() if key not in coded]
        for entry in fresh:
            old = before.get(entry.key)
            if entry.is_firing and (old is None or old.job is not entry.job or not old.is_firing):
                resume(entry.job, old.job if old is not None else entry.job)
        self._former, self.entries = self.entries, fresh
        return resolved.failed


def _changed(override: Override, spec: ScheduleSpec, coded: Any, old: Entry | None, state: RqState) -> Entry:
    """The changed entry. Raises Refused if RQ does not support it."""
    if is_other_work(spec, coded):
        _check_owner()
    is_enabled = override.is_enabled and spec.is_enabled
    if old is not None and old.spec is not None and replace(old.spec, is_enabled=True) == replace(spec, is_enabled=True):
        return replace(old, spec=spec, is_enabled=is_enabled)
    name = spec.name or (name_of_cron(coded) if coded is not None else override.key)
    return Entry(override.key, name, made(spec, name, coded, old, state), coded, spec, is_enabled)


def is_other_work(spec: ScheduleSpec, coded: Any) -> bool:
    """Whether an operator has changed what it runs, and not only when."""
    return coded is None or spec.args is not None or spec.kwargs is not None or spec.task_name not in ("", task_of(coded))


def _check_owner() -> None:
    """Raises Refused if the owner does not permit other work, also for overrides that were stored before the owner denied it."""
    agent = z4j_agent.current()
    objection = why_not(agent.settings, "run_task") if agent is not None else None
    if objection is not None:
        raise Refused(f"{objection[0]}; a schedule may change its times, not what it runs", check=objection[1])


# -- RQ's own objects --------------------------------------------------------------------------------------------------
def is_usable(cron_job: type) -> bool:
    """Whether this version of RQ has cron expressions. RQ 2.4 has only intervals; its entries cannot be distinguished from those of
    later versions."""
    return "cron" in inspect.signature(cron_job).parameters


def zone_of_cron() -> str:
    """RQ 3 compares with the host's time, RQ 2 with UTC (rq/cron.py, get_next_enqueue_time)."""
    return zone_of_host() if int(VERSION.partition(".")[0]) >= 3 else "UTC"


def name_of_cron(job: Any) -> str:
    return str(getattr(job, "name", "") or task_of(job))


def task_of(job: Any) -> str:
    """Returns the task name. RQ 2.5 stores only the function."""
    return str(getattr(job, "func_name", "") or f"{job.func.__module__}.{job.func.__name__}")


def _attribute(job: Any, which: str) -> str:
    return f"{which}_enqueue_time" if hasattr(job, f"{which}_enqueue_time") else f"{which}_run_time"


def due_of(job: Any) -> int | None:
    """When it is due, in microseconds UTC; None for an interval that has never run, which is due at once."""
    return _us(getattr(job, _attribute(job, "next")))


def last_of(job: Any) -> int | None:
    """Microseconds UTC."""
    return _us(getattr(job, _attribute(job, "latest")))


def _us(moment: datetime | None) -> int | None:
    return None if moment is None or moment.year == MAXYEAR else to_us(moment)


def resume(job: Any, old: Any) -> None:
    """Sets its next time: by its expression, or an interval after the last run, at once if that has passed."""
    nearest, latest = _attribute(job, "next"), _attribute(job, "latest")
    last = getattr(old, _attribute(old, "latest")) or getattr(job, latest)
    if job.cron:
        setattr(job, latest, None)  # RQ would search from there, and find missed times
        setattr(job, nearest, getattr(job, f"get_{nearest}")())
    elif last is not None:
        setattr(job, nearest, max(last + timedelta(seconds=job.interval), datetime.now(UTC)))
    setattr(job, latest, last)


def made(spec: ScheduleSpec, name: str, coded: Any, old: Entry | None, state: RqState) -> Any:
    """Returns a `CronJob` for a requested entry. Raises Refused."""
    from rq.cron import CronJob

    check_priority(spec.priority)
    task_name = spec.task_name or (task_of(coded) if coded is not None else "")
    function = coded.func if coded is not None and task_name == task_of(coded) else function_of(task_name)
    if function is None:
        raise Refused(f"this process has loaded no function {task_name or 'without a name'}")
    if spec.kind == "once":
        raise Refused("RQ's cron does not support one-offs; run the task, or schedule it with rq-scheduler. No changes were made.")
    times: dict[str, Any]
    if spec.kind == "cron":
        check_only_zone(spec.timezone, zone_of_cron(), "RQ's cron")
        times = {"cron": handed(Croniter, read_cron(spec.expression))}
    else:
        times = {"interval": read_whole_interval(spec.expression, "RQ's")}
    source = old.job if old is not None else coded
    args, kwargs = merge_arguments(spec, source.args, source.kwargs) if source is not None else merge_arguments(spec)
    queue = spec.queue or (coded.queue_name if coded is not None else state.known.names.get(task_name) or "default")
    options = dict(coded.job_options) if coded is not None else {}
    if "name" in inspect.signature(CronJob).parameters:
        options["name"] = name
    try:
        job = CronJob(queue_name=queue, func=function, args=tuple(args), kwargs=kwargs, **times, **options)
    except Exception as error:
        let_through(error)
        raise Refused(f"RQ does not support it: {str(error)[:200]}") from error
    job.func_name = task_name  # RQ reads it from the function, whose module may have another name now
    return job
