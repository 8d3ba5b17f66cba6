# SPDX-License-Identifier: Apache-2.0
"""The package `rq_scheduler`: its entries are in Redis; every process with one of its `Scheduler` objects can read them.

An entry is a job hash and a member of a sorted set, whose score is its due time; its rule is in the job's meta. The library cannot
disable entries: a disabled one is removed from the sorted set, and z4j stores its score in a hash.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any, ClassVar, Final

from rq.exceptions import DeserializationError
from rq.job import Job
from rq.queue import Queue

from z4j_agent.capture.guard import guard
from z4j_agent.capture.hooks import now, report_fire
from z4j_agent.capture.originals import is_plain
from z4j_agent.contract.adapter import Refused
from z4j_agent.contract.overrides import merge_arguments
from z4j_agent.contract.scheduler import ScheduleInfo, Scheduler, ScheduleSpec
from z4j_agent.runtime.time_zones import check_only_zone, zone_of_host
from z4j_rq.job_hooks.import_hooks import when_imported
from z4j_rq.job_hooks.job_marks import by_command, is_asked
from z4j_rq.job_hooks.patches import Patches
from z4j_rq.messages import ENGINE, name_of, to_us
from z4j_rq.schedulers import scheduled_entries
from z4j_rq.schedulers.dialects import Crontab, check_priority, shown
from z4j_rq.schedulers.scheduled_entries import ScheduledEntry, Times
from z4j_rq.schedulers.scheduler_common import begin, shown_arguments
from z4j_rq.state import RqState

SCHEDULER: Final = "rq_scheduler"
REMEMBERED: Final = 8
"""Maximum number of `Scheduler` objects: a web process may create one for every request."""
PASSED: Final = "its time has passed; set a new one. No changes were made."


class RqScheduler(Scheduler):
    """The scheduler that `Scheduler.run` runs in this process, or the entries that a `Scheduler` object of this process can reach."""

    scheduler: ClassVar[str] = SCHEDULER
    engine: ClassVar[str] = ENGINE

    def __init__(self, state: RqState) -> None:
        self._state = state
        self._patches = Patches()
        self._made: tuple[weakref.ref[Any], ...] = ()
        """References to `Scheduler` objects, the newest last. Replaced as a whole."""
        self._running: Any = None
        """The one whose `run` is running in this process."""
        self._in_hand: Job | None = None
        self._forget: Callable[[], None] = lambda: None

    @property
    def store(self) -> str:
        return "redis"

    # -- hooks ---------------------------------------------------------------------------------------------------------
    def install(self) -> None:
        self._forget = when_imported("rq_scheduler.scheduler", self._watch)

    def uninstall(self) -> None:
        self._forget()
        self._patches.restore()
        self._made = ()

    @guard("watching rq-scheduler")
    def _watch(self, module: ModuleType) -> None:
        theirs = module.Scheduler
        self._patches.look(theirs, "__init__", after=self._remember)
        self._patches.look(theirs, "_create_job", before=self._remember)  # one that was created before `install`
        self._patches.around_all(theirs, "run", self._around_run)
        self._patches.around_all(theirs, "enqueue_job", self._around_enqueue)

    @guard("a new scheduler")
    def _remember(self, made: Any, *_args: Any, **_kwargs: Any) -> None:
        alive = [reference for reference in self._made if reference() is not None]
        if not any(reference() is made for reference in alive):
            self._made = (*alive[-REMEMBERED + 1 :], weakref.ref(made))

    def _around_run(self, run: Any, made: Any, *args: Any, **kwargs: Any) -> Any:
        if self._running is not None:  # a subclass calls its base's
            return run(made, *args, **kwargs)
        self._running = made
        try:
            self._begin()
            return run(made, *args, **kwargs)
        finally:
            self._running = None

    @guard("the start of the scheduler")
    def _begin(self) -> None:
        begin(self._state, SCHEDULER)

    def _around_enqueue(self, enqueue: Any, made: Any, job: Any, *args: Any, **kwargs: Any) -> Any:
        """Reports fires of the scheduler's own passes. Jobs that an application enqueues by calling this itself are not fires."""
        if made is not self._running or self._in_hand is job:
            return enqueue(made, job, *args, **kwargs)
        self._in_hand, due_at = job, self._due(made, job)
        try:
            result = enqueue(made, job, *args, **kwargs)
        except Exception as error:
            self._report(job, due_at, error)
            raise
        finally:
            self._in_hand = None
        self._report(job, due_at, None)
        return result

    @guard("the time of a fire")
    def _due(self, made: Any, job: Any) -> int | None:
        """Reads the due time before the scheduler changes it. One more request to Redis in addition to the five of a fire."""
        return scheduled_entries.moment(made.connection.zscore(made.scheduled_jobs_key, job.id))

    @guard("a fire")
    def _report(self, job: Any, due_at: int | None, error: Exception | None) -> None:
        report_fire(SCHEDULER, job.id, due_at, job.id, error)

    # -- what it is ----------------------------------------------------------------------------------------------------
    def _reached(self) -> Any:
        if self._running is not None:
            return self._running
        return next((made for reference in reversed(self._made) if (made := reference()) is not None), None)

    def _need(self) -> Any:
        made = self._reached()
        if made is None:
            raise Refused("this process has created no Scheduler, so it has no connection to Redis")
        return made

    def is_here(self) -> bool:
        return self._reached() is not None

    def is_firing(self) -> bool:
        return self._running is not None

    def tick_s(self) -> float:
        return float(getattr(self._reached(), "_interval", 60))

    def zone(self) -> str:
        """Returns the host's time zone, also without `use_local_timezone`: rq_scheduler/utils.py searches from `datetime.now()` and
        converts after that."""
        return zone_of_host()

    # -- the list ------------------------------------------------------------------------------------------------------
    def list_schedules(self) -> list[ScheduleInfo]:
        made, zone = self._need(), self.zone()
        entries = scheduled_entries.read_all(made)
        for entry in entries:
            if not is_asked(entry.job):  # the application's own entry: its task and its queue are the application's
                self._state.known.meet_name(name_of(entry.job), entry.job.origin or "")
                self._state.known.meet_queue(Queue(entry.job.origin or made.queue_name, connection=made.connection))
        return [self._info(entry, zone) for entry in entries]

    def _info(self, entry: ScheduledEntry, zone: str) -> ScheduleInfo:
        job, meta = entry.job, scheduled_entries.meta_of(entry.job)
        task_name = name_of(job)
        kind, expression = scheduled_entries.kind_of(meta), ""
        if kind == "interval":
            expression = str(meta["interval"])
        elif kind == "cron":
            expression = shown(Crontab, str(meta["cron_string"])) or ""
            if not expression:
                kind, expression = "other", str(meta["cron_string"])
        else:
            expression = scheduled_entries.text_of_moment(entry.due_at)
        try:
            args, kwargs = shown_arguments(task_name, job.args, job.kwargs)
        except DeserializationError:
            args = kwargs = '"…"'
        return ScheduleInfo(
            key=job.id,
            name=scheduled_entries.title_of(job, task_name),
            kind=kind,
            expression=expression,
            timezone={"interval": "", "once": "UTC"}.get(kind, zone),
            task_name=task_name,
            args=args,
            kwargs=kwargs,
            queue=job.origin or "",
            is_enabled=entry.is_enabled,
            next_at=entry.due_at if entry.is_enabled else None,
            last_at=to_us(job.enqueued_at),
            note=self._note(kind, expression, meta),
        )

    def _note(self, kind: str, expression: str, meta: dict[str, Any]) -> str:
        left, tick = meta.get("repeat"), self.tick_s()
        if left is not None:
            return "Runs once more." if left == 1 else f"Runs {left} more times."
        is_fast = (kind == "interval" and float(expression) < tick) or (kind == "cron" and expression.count(" ") == 5)
        return f"The scheduler checks every {tick:g} s, so the task cannot run more often." if is_fast and tick > 1 else ""

    # -- what operators ask --------------------------------------------------------------------------------------------
    def save_schedule(self, spec: ScheduleSpec) -> dict[str, Any]:
        """Creates an entry, or changes one, which keeps its job ID. Raises Refused."""
        made = self._need()
        check_priority(spec.priority)
        if spec.kind == "cron":
            check_only_zone(spec.timezone, self.zone(), "rq-scheduler")
        times = Times.of(spec)
        if not spec.key:
            return {"key": self._create(made, spec, times)}

        def change(pipe: Any, entry: ScheduledEntry) -> None:
            job, title = entry.job, scheduled_entries.title_of(entry.job, name_of(entry.job))
            scheduled_entries.check_idle(job)
            is_other_work = self._change_task(job, spec)
            due_at = times.due_after_change(entry)
            times.write(job)
            if spec.name and spec.name != title:
                job.description = spec.name
            scheduled_entries.put(pipe, made, job, due_at, is_enabled=spec.is_enabled, is_other_work=is_other_work)

        scheduled_entries.exchange(made, spec.key, change)
        return {"key": spec.key}

    def _create(self, made: Any, spec: ScheduleSpec, times: Times) -> str:
        if not spec.task_name:
            raise Refused("a new schedule requires a task")
        queue = spec.queue or self._state.known.names.get(spec.task_name) or made.queue_name
        args, kwargs = merge_arguments(spec)
        ttl = None if spec.kind == "once" else -1  # like `cron` and `schedule`: with the hash, the entry would be gone
        id, title = scheduled_entries.new_id(), spec.name or None
        job = made._create_job(
            spec.task_name, args=tuple(args), kwargs=kwargs, commit=False, result_ttl=ttl, id=id, description=title, queue_name=queue
        )
        times.write(job)
        with made.connection.pipeline() as pipe:
            scheduled_entries.put(pipe, made, job, times.first(), is_enabled=spec.is_enabled, is_other_work=True)
            pipe.execute()
        return id

    def _change_task(self, job: Job, spec: ScheduleSpec) -> bool:
        """Applies a spec to the job. Returns whether it now runs other work. Raises Refused."""
        if spec.queue:
            job.origin = spec.queue
        is_other = bool(spec.task_name) and spec.task_name != name_of(job)
        if not is_other and spec.args is None and spec.kwargs is None:
            return False
        try:
            old_args, old_kwargs, instance = job.args, job.kwargs, job.instance
        except DeserializationError:
            raise Refused("its arguments cannot be read in this process, so only its time can be changed. No changes were made.") from None
        args, kwargs = merge_arguments(spec, old_args, old_kwargs)
        if (args, kwargs) == (list(old_args), dict(old_kwargs)) and not is_other:
            return False
        if instance is not None or not is_plain(args) or not is_plain(kwargs):
            raise Refused(
                "it calls a method of an object, or has objects as arguments, so only its time can be changed. No changes were made."
            )
        is_own_title = scheduled_entries.is_call(job)
        job.func_name, job.args, job.kwargs = spec.task_name or job.func_name, tuple(args), kwargs
        if is_own_title:
            job.description = job.get_call_string()
        return True

    def delete_schedule(self, key: str) -> dict[str, Any]:
        """Raises Refused."""
        made = self._need()
        scheduled_entries.exchange(made, key, lambda pipe, entry: scheduled_entries.drop(pipe, made, entry))
        return {"key": key}

    def disable_schedule(self, key: str) -> dict[str, Any]:
        """Raises Refused."""
        made = self._need()
        scheduled_entries.exchange(
            made, key, lambda pipe, entry: scheduled_entries.put_entry(pipe, made, entry.job, entry.due_at, is_enabled=False)
        )
        return {"key": key}

    def enable_schedule(self, key: str) -> dict[str, Any]:
        """Enables an entry: due by its expression; an interval whose time has passed is due at once. Raises Refused."""
        made = self._need()

        def change(pipe: Any, entry: ScheduledEntry) -> None:
            if entry.is_enabled:
                return
            meta, due_at = scheduled_entries.meta_of(entry.job), entry.due_at
            kind = scheduled_entries.kind_of(meta)
            if kind == "cron":
                due_at = scheduled_entries.next_match(str(meta["cron_string"]), is_local=bool(meta.get("use_local_timezone")))
            elif due_at < now():
                if kind == "once":
                    raise Refused(PASSED)
                due_at = now()
            scheduled_entries.put_entry(pipe, made, entry.job, due_at, is_enabled=True)

        scheduled_entries.exchange(made, key, change)
        return {"key": key}

    def fire_schedule(self, key: str) -> dict[str, Any]:
        """Enqueues a copy under an ID of its own: the entry's own job may already be in a queue. Raises Refused."""
        made = self._need()
        job = scheduled_entries.copy_of(scheduled_entries.find(made, key).job)
        queue = made.get_queue_for_job(job)
        with by_command():
            queue.enqueue_job(job, at_front=bool(job.enqueue_at_front))
        return {"task_id": job.id, "queue": queue.name}
