# SPDX-License-Identifier: Apache-2.0
"""RQ's own cron (`rq cron cfg.py`): its entries are code, in a list of the process that runs it; Redis contains a copy for display.

Operators' changes are overrides, which are applied to that list between two passes of the scheduler's loop (`cron_overrides`). The loop
sleeps until its next entry is due, a minute at most; z4j replaces this wait with its own, so that a change ends it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any, ClassVar, Final

from rq.queue import Queue

from z4j_agent.capture.guard import faults, guard, let_through
from z4j_agent.capture.hooks import now, override_store, report_fire
from z4j_agent.contract.adapter import Refused
from z4j_agent.contract.scheduler import Override, ScheduleInfo, Scheduler
from z4j_rq.job_hooks.job_marks import by_command
from z4j_rq.job_hooks.patches import Patches
from z4j_rq.messages import ENGINE
from z4j_rq.schedulers.cron_overrides import Entry, Plan, due_of, is_usable, last_of, task_of, zone_of_cron
from z4j_rq.schedulers.dialects import Croniter, shown
from z4j_rq.schedulers.scheduler_common import begin, shown_arguments
from z4j_rq.state import RqState

SCHEDULER: Final = "rq_cron"


class RqCron(Scheduler):
    """The `CronScheduler` whose `start` is running in this process."""

    scheduler: ClassVar[str] = SCHEDULER
    engine: ClassVar[str] = ENGINE

    def __init__(self, state: RqState) -> None:
        self._state = state
        self._patches = Patches()
        self._running: Any = None
        self._loop = 0
        """The thread of its loop."""
        self._plan = Plan()
        self._in_hand: Any = None
        self._changed = threading.Event()
        self._sleep = time.sleep
        self._waiting = Patches()
        """The entries of that scheduler."""
        self._applying = threading.Lock()

    @property
    def store(self) -> str:
        return "code"

    # -- hooks ---------------------------------------------------------------------------------------------------------
    def install(self) -> None:
        try:
            from rq.cron import CronJob, CronScheduler
        except ImportError:
            return  # RQ before 2.4
        if not is_usable(CronJob):
            return
        self._patches.around_all(CronScheduler, "start", self._around_start)
        self._patches.around_all(CronJob, "enqueue", self._around_enqueue)

    def uninstall(self) -> None:
        self._patches.restore()
        self._release(self._running)

    def _around_start(self, start: Any, cron: Any, *args: Any, **kwargs: Any) -> Any:
        if self._running is not None:  # a subclass calls its base's
            return start(cron, *args, **kwargs)
        self._running, self._loop = cron, threading.get_ident()
        try:
            self._prepare(cron)
            self._begin()
            return start(cron, *args, **kwargs)
        finally:
            self._release(cron)
            self._running = None

    @guard("the start of the scheduler")
    def _begin(self) -> None:
        begin(self._state, SCHEDULER)

    @guard("the kept overrides")
    def _prepare(self, cron: Any) -> None:
        """Applies the stored overrides before the first pass."""
        self._plan = Plan()
        self._waiting.around(cron, "calculate_sleep_interval", lambda interval: self._wait(interval()))
        self._apply(override_store(SCHEDULER).read())

    def _release(self, cron: Any) -> None:
        """Restores the loop's own sleep."""
        if cron is not None:
            self._waiting.restore()
            self._changed.set()

    def _wait(self, seconds: float) -> float:
        """Waits as long as the loop would sleep, or until there is a change. Returns the remaining seconds: 0 in the loop. Signals
        interrupt it like `time.sleep`. If the application, or one of its tests, has replaced that function since, the loop calls it, and
        a change is noticed at the next pass."""
        if threading.get_ident() != self._loop or seconds <= 0 or time.sleep is not self._sleep:
            return seconds
        self._changed.wait(seconds)
        self._changed.clear()
        return 0.0

    def _around_enqueue(self, enqueue: Any, job: Any, *args: Any, **kwargs: Any) -> Any:
        """Reports fires of the loop's own entries. Jobs that an application or an operator enqueues with it are not fires."""
        entry = None if self._in_hand is job or threading.get_ident() != self._loop else self._plan.entry_of(job)
        if entry is None:
            return enqueue(job, *args, **kwargs)
        self._in_hand, due_at = job, due_of(job) or now()
        try:
            with by_command() if entry.is_other_work else contextlib.nullcontext():
                made = enqueue(job, *args, **kwargs)
        except Exception as error:
            self._report(entry, due_at, "", error)
            raise
        finally:
            self._in_hand = None
        self._report(entry, due_at, getattr(made, "id", ""), None)
        return made

    @guard("a fire")
    def _report(self, entry: Entry, due_at: int, task_id: str, error: Exception | None) -> None:
        report_fire(SCHEDULER, entry.key, due_at, task_id, error)

    # -- the scheduler-------------------------------------------------------------------------------------------------
    def is_firing(self) -> bool:
        return self._running is not None

    def _need(self) -> Any:
        if self._running is None:
            raise Refused("this process does not run RQ's cron")
        return self._running

    def zone(self) -> str:
        return zone_of_cron()

    # -- the list ------------------------------------------------------------------------------------------------------
    def list_schedules(self) -> list[ScheduleInfo]:
        cron, zone = self._need(), self.zone()
        with self._applying:
            self._plan.meet(cron)
            for job in self._plan.coded_jobs():
                self._state.known.meet_name(task_of(job), job.queue_name)
                self._state.known.meet_queue(Queue(job.queue_name, connection=cron.connection))
            return [self._info(entry, zone) for entry in self._plan.entries if not entry.is_deleted]

    def _info(self, entry: Entry, zone: str) -> ScheduleInfo:
        job = entry.job
        task_name = task_of(job)
        args, kwargs = shown_arguments(task_name, job.args, job.kwargs)
        expression = str(job.interval) if job.interval else shown(Croniter, job.cron)
        next_at = due_of(job)
        return ScheduleInfo(
            key=entry.key,
            name=entry.name,
            kind="interval" if job.interval else "cron" if expression else "other",
            expression=expression or str(job.cron),
            timezone="" if job.interval else zone,
            task_name=task_name,
            args=args,
            kwargs=kwargs,
            queue=job.queue_name,
            is_enabled=entry.is_enabled,
            next_at=(next_at or now()) if entry.is_enabled else None,
            last_at=last_of(job),
            is_code=entry.coded is not None,
        )

    # -- commands-----------------------------------------------------------------------------------------
    def apply_overrides(self, overrides: list[Override]) -> dict[str, str]:
        cron = self._need()
        failed, is_other = self._apply(overrides)
        if is_other:
            self._changed.set()
            self._save(cron)
        return failed

    def _apply(self, overrides: list[Override]) -> tuple[dict[str, str], bool]:
        cron = self._need()
        with self._applying:
            self._plan.meet(cron)
            failed = self._plan.change(overrides, self._state)
            fresh = self._plan.jobs()
            is_other = [id(job) for job in fresh] != [id(job) for job in cron._cron_jobs]
            if is_other:
                cron._cron_jobs = fresh  # the loop iterates over the old list to its end
        return failed, is_other

    def _save(self, cron: Any) -> None:
        """Writes RQ's copy in Redis, for other tools; the loop writes it again at its next fire."""
        if not hasattr(cron, "save"):
            return
        try:
            cron.save()
        except Exception as error:
            let_through(error)
            faults.report("saving RQ's copy of the schedules", error)

    def fire_schedule(self, key: str) -> dict[str, Any]:
        """Enqueues the entry's task. Raises Refused if the entry does not exist."""
        cron = self._need()
        entry = next((candidate for candidate in self._plan.entries if candidate.key == key and not candidate.is_deleted), None)
        if entry is None:
            raise Refused("the scheduler no longer has this schedule. No changes were made.")
        job = entry.job
        queue = Queue(job.queue_name, connection=cron.connection)
        with by_command():
            made = queue.enqueue_call(job.func, args=job.args, kwargs=job.kwargs, **entry.call_options())
        return {"task_id": made.id, "queue": queue.name}
