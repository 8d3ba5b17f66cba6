# SPDX-License-Identifier: Apache-2.0
"""RQ's own methods as records. What is called where was found by experiment (`docs/engines.md` has a row per outcome).

The work horse tells the run and its end, because only there a failed attempt that will be retried still has its traceback; the worker's
main process tells what a horse cannot: that it was received, killed or stopped. A horse only writes, and writing survives `os._exit`.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rq.exceptions import DeserializationError, NoSuchJobError
from rq.job import Job, JobStatus, Retry, get_current_job
from rq.queue import Queue
from rq.registry import FailedJobRegistry, StartedJobRegistry
from rq.timeouts import BaseTimeoutException, JobTimeoutException
from rq.worker import BaseWorker

import z4j_agent
from z4j_agent import hooks, records
from z4j_agent.agent import Agent
from z4j_agent.guard import guard, never_swallow
from z4j_agent.hooks import now
from z4j_rq import originals, spawned
from z4j_rq.facts import (
    ENGINE,
    NEW,
    RUN,
    WAITING,
    attempt_of,
    function_of,
    is_import_error,
    is_spawning,
    is_told,
    job_in,
    mark_of,
    mark_sent,
    name_of,
    sent_meta,
    status_text,
    to_us,
)  # fmt: skip
from z4j_rq.patches import Look, Patches

EXIT_WAIT_S = 1.0
ABANDONED = "no worker has renewed its claim on the task"


@dataclass(slots=True)
class Held:
    """What the worker's main process has in hand."""

    task_id: str
    attempt: int
    name: str
    queue: str
    received_at: int
    started_at: int = 0
    pid: int = 0
    is_told: bool = False
    """Whether somebody has told its arguments; else the horse does, which has the function."""


class Run:
    """One run in the process that executes it."""

    __slots__ = ("attempt", "began_ns", "has_ended", "is_told", "meta", "name", "queue", "received_at", "started_at")

    def __init__(self, job: Job, received_at: int | None, meta: str = records.NO_META) -> None:
        self.began_ns, self.started_at = time.perf_counter_ns(), now()
        self.attempt, self.name, self.queue = attempt_of(job), name_of(job), job.origin or ""
        self.received_at, self.meta, self.has_ended, self.is_told = received_at, meta, False, True

    def runtime(self) -> int:
        """Microseconds since the start, by this process's monotonic clock."""
        return (time.perf_counter_ns() - self.began_ns) // 1000


class Capture:
    """The wrappers, and what the worker's main process remembers between two of them."""

    def __init__(self, on_ready: Callable[[], None]) -> None:
        self._on_ready = on_ready
        self.worker: Any = None
        """The RQ worker of this process, None in producers."""
        self.held: Held | None = None
        self.queues: dict[str, Queue] = {}
        """The queues this process has enqueued to, by name."""
        self.names: dict[str, str] = {}
        """Names of tasks that were seen here, and their queue: RQ registers none."""
        self._inline: Job | None = None
        self._is_cleaning = False
        self._agent: Agent
        self._patches = Patches()

    def connect(self) -> None:
        agent = z4j_agent.current()
        if agent is None:
            return
        self._agent = agent
        never_swallow(BaseTimeoutException)
        patches = self._patches
        patches.wrap(Queue, "_enqueue_job", before=self.before_enqueue, after=self.after_enqueue)
        patches.wrap(Queue, "_enqueue_rate_limited_job", before=self.before_enqueue, after=self.after_enqueue)
        patches.wrap(Queue, "enqueue_many", after=self.after_many)
        patches.wrap(Queue, "schedule_job", before=self.before_enqueue, after=self.after_schedule)
        patches.wrap(Queue, "setup_dependencies", before=self.before_enqueue, after=self.after_dependencies)
        patches.wrap(Queue, "run_job", before=self.before_inline, after=self.after_inline, always=self.always_inline)
        patches.wrap(Job, "cancel", before=self.before_removal, after=self.after_cancel)
        patches.wrap(Job, "delete", before=self.before_removal, after=self.after_delete)
        patches.wrap(FailedJobRegistry, "add", before=self.before_failed)
        patches.wrap(StartedJobRegistry, "cleanup", before=self.before_cleaning, always=self.always_cleaned)
        patches.wrap(Job, "retry", before=self.before_retry)
        patches.watch_errors(Job, "fetch", NoSuchJobError, self.on_gone)
        looked_at: dict[str, dict[str, Look]] = {
            "register_birth": {"before": self.before_birth, "after": self.after_birth},
            "teardown": {"after": self.after_teardown},
            "prepare_execution": {"after": self.after_prepare},
            "fork_work_horse": {"before": self.before_fork},
            "monitor_work_horse": {"before": self.before_monitor},
            "execute_job": {"always": self.always_executed},
            "perform_job": {"before": self.before_perform},
            "handle_job_success": {"after": self.after_success},
            "handle_job_retry": {"before": self.before_returned_retry},
            "handle_work_horse_killed": {"before": self.before_killed},
            "handle_job_failure": {"before": self.before_failure},
        }
        for name, looks in looked_at.items():
            patches.wrap_all(BaseWorker, name, **looks)
        atexit.register(self._at_exit)
        self._join_worker()

    def disconnect(self) -> None:
        self._patches.restore()
        handlers = getattr(self.worker, "_exc_handlers", [])
        if spawned.pass_on in handlers:
            handlers.remove(spawned.pass_on)
        atexit.unregister(self._at_exit)

    # -- enqueueing: in producers, horses, and the scheduler's process -------------------------------------------------
    @guard("before enqueueing")
    def before_enqueue(self, queue: Queue, *args: Any, **kwargs: Any) -> int:
        job = job_in(args, kwargs)
        if job is not None:
            mark_sent(job)
        return now()

    @guard("enqueueing")
    def after_enqueue(self, queue: Queue, seen: int | None, _result: Any, *args: Any, **kwargs: Any) -> None:
        job = job_in(args, kwargs)
        if job is not None:
            self._sent(queue, job, seen or now(), None)

    @guard("scheduling")
    def after_schedule(self, queue: Queue, seen: int | None, _result: Any, *args: Any, **kwargs: Any) -> None:
        job = job_in(args, kwargs)
        when = kwargs.get("datetime", args[1] if len(args) > 1 else None)
        if job is not None:
            self._sent(queue, job, seen or now(), to_us(when))

    @guard("waiting for another job")
    def after_dependencies(self, queue: Queue, seen: int | None, job: Job, *_args: Any, **_kwargs: Any) -> None:
        """A job that must wait for others is told when it is sent; when its turn comes it is enqueued by whoever ended the last one."""
        if job._status == JobStatus.DEFERRED:
            self._sent(queue, job, seen or now(), None)

    @guard("enqueueing many")
    def after_many(self, queue: Queue, _seen: Any, jobs: list[Job], *_args: Any, **_kwargs: Any) -> None:
        """Those of many that must wait for others are written without `setup_dependencies`; all others were told already."""
        for job in jobs:
            if job._status == JobStatus.DEFERRED:
                mark_sent(job)
                self._sent(queue, job, now(), None)

    def _sent(self, queue: Queue, job: Job, at: int, eta: int | None) -> None:
        agent, name = self._agent, name_of(job)
        self.queues[queue.name] = queue
        self.names[name] = queue.name
        agent.append(records.enqueued(ENGINE, job.id, attempt_of(job), at, agent.run, name, queue.name, eta=eta, meta=sent_meta(job)))
        if job.__dict__.pop(NEW, False):
            agent.append(originals.payload_of(agent, job, originals.BY_PRODUCER))
        agent.connect()

    # -- a queue without workers (is_async=False): the task runs in its caller -----------------------------------------
    @guard("before running in place")
    def before_inline(self, _queue: Queue, job: Job) -> Run:
        agent = self._agent
        run = Run(job, None, '{"eager":true}')
        job.__dict__[RUN] = run
        agent.append(records.started(ENGINE, job.id, run.attempt, run.started_at, agent.run, run.name, run.queue, meta=run.meta))
        self._inline = job
        return run

    @guard("running in place")
    def after_inline(self, _queue: Queue, run: Run | None, result: Any, job: Job) -> None:
        if run is not None and not run.has_ended:
            self._succeeded(job, run, job._result)

    @guard("ending in place")
    def always_inline(self, _queue: Queue) -> None:
        error, job = sys.exc_info()[1], self._inline
        run: Run | None = job.__dict__.get(RUN) if job is not None else None
        if job is not None and run is not None and error is not None:
            self._failed(job, run, error, will_retry=False)

    # -- the worker's main process -------------------------------------------------------------------------------------
    @guard("a worker's start")
    def before_birth(self, worker: Any) -> None:
        self.worker = worker
        self._on_ready()
        self._agent.become_worker(str(worker.name))
        if is_spawning(worker) and spawned.pass_on not in worker._exc_handlers:
            worker.push_exc_handler(spawned.pass_on)

    @guard("a worker's start")
    def after_birth(self, _worker: Any, _seen: Any, _result: Any) -> None:
        self._agent.connect()

    @guard("a worker's end")
    def after_teardown(self, worker: Any, _seen: Any, _result: Any) -> None:
        if not worker.is_horse:
            self._at_exit()

    @guard("receiving")
    def after_prepare(self, _worker: Any, _seen: Any, _result: Any, *args: Any, **kwargs: Any) -> None:
        job = job_in(args, kwargs)
        if job is None:
            return
        agent, at = self._agent, now()
        held = self.held = Held(job.id, attempt_of(job), name_of(job), job.origin or "", at)
        self.names[held.name] = held.queue
        meta = records.NO_META if mark_of(job) else sent_meta(job, code="")
        agent.append(records.received(ENGINE, held.task_id, held.attempt, at, agent.run, held.name, held.queue, meta=meta))
        held.is_told = is_told(job)
        if not held.is_told and function_of(held.name) is not None:
            held.is_told = True
            agent.append(originals.payload_of(agent, job, originals.BY_WORKER))  # at once: a task costs a fork anyway

    @guard("before a horse")
    def before_fork(self, worker: Any, *_args: Any, **_kwargs: Any) -> None:
        if is_spawning(worker):
            os.environ[spawned.BOOT] = self._agent.run

    @guard("a horse")
    def before_monitor(self, worker: Any, *_args: Any, **_kwargs: Any) -> None:
        if self.held is not None:
            self.held.pid, self.held.started_at = int(worker._horse_pid or 0), now()

    @guard("the end of a job")
    def always_executed(self, _worker: Any) -> None:
        self.held = None

    @guard("a killed horse")
    def before_killed(self, _worker: Any, job: Job, _pid: Any = None, returned: int | None = None, *_args: Any, **_kwargs: Any) -> None:
        job.__dict__["z4j_killed"] = status_text(returned)
        if self.held is not None and not self.held.is_told:
            self._agent.append(originals.payload_of(self._agent, job, originals.BY_WORKER))

    # -- where the task runs -------------------------------------------------------------------------------------------
    @guard("a spawned horse")
    def _join_worker(self) -> None:
        """RQ 2 gives a spawned horse nothing of ours: there it is the task's own module that installs us, when RQ loads it to call it."""
        boot = spawned.parent_boot()
        if boot:
            self._agent.become_child(os.environ.get("RQ_WORKER_ID", ""), boot)
            job = get_current_job()
            if job is not None:
                self.before_perform(None, job)

    @guard("a task's start")
    def before_perform(self, _worker: Any, *args: Any, **kwargs: Any) -> None:
        job = job_in(args, kwargs)
        if job is None:
            return
        agent, held = self._agent, self.held
        run = Run(job, held.received_at if held is not None and held.task_id == job.id else None)
        job.__dict__[RUN] = run
        if held is not None and not held.started_at:  # no horse: the worker itself runs it
            held.started_at, held.pid = run.started_at, os.getpid()
        agent.append(records.started(ENGINE, job.id, run.attempt, run.started_at, agent.run, run.name, run.queue, meta=run.meta))
        run.is_told = held.is_told if held is not None else is_told(job)
        if function_of(run.name) is not None:
            self._tell_arguments(job, run)

    def _tell_arguments(self, job: Job, run: Run) -> None:
        """Before the run where the function is loaded; at its end where RQ had to load it."""
        if not run.is_told:
            run.is_told = True
            self._agent.append(originals.payload_of(self._agent, job, originals.BY_WORKER))

    @guard("a success")
    def after_success(self, _worker: Any, _seen: Any, _result: Any, *args: Any, **kwargs: Any) -> None:
        """After RQ has kept the result: one that cannot be kept is a failure, and RQ says so."""
        job = job_in(args, kwargs)
        run: Run | None = job.__dict__.get(RUN) if job is not None else None
        if job is not None and run is not None:
            self._succeeded(job, run, job._result)

    @guard("a returned Retry")
    def before_returned_retry(self, _worker: Any, *args: Any, **kwargs: Any) -> None:
        job = job_in(args, kwargs)
        retry = next((value for value in (*args, *kwargs.values()) if isinstance(value, Retry)), None)
        run: Run | None = job.__dict__.get(RUN) if job is not None else None
        if job is None or run is None or retry is None:
            return
        agent, tried = self._agent, job.number_of_retries or 0
        run.has_ended = True
        head = (ENGINE, job.id, run.attempt, now(), agent.run, run.name, run.queue)
        if tried >= retry.max:
            error = f"the task returned Retry(max={retry.max}) once more"
            agent.append(
                records.failed(
                    *head, received_at=run.received_at, started_at=run.started_at, runtime=run.runtime(), reason="retries_exhausted",
                    error_type="Retry", error=error, traceback="", meta=run.meta,
                )
            )  # fmt: skip
            return
        wait_s = Retry.get_interval(tried, retry.intervals)
        agent.append(
            records.retried(
                *head, started_at=run.started_at, runtime=run.runtime(), eta=now() + int(wait_s * 1_000_000) if wait_s else None,
                reason="returned", error_type="Retry", error="", traceback="", meta=run.meta,
            )
        )  # fmt: skip

    @guard("a failure")
    def before_failure(self, worker: Any, *args: Any, **kwargs: Any) -> None:
        job = job_in(args, kwargs)
        if job is None:
            return
        run: Run | None = job.__dict__.get(RUN)
        error = sys.exc_info()[1]
        if run is not None and error is not None:
            self._failed(job, run, error, will_retry=_will_retry(job))
        elif run is None:
            self._failed_elsewhere(worker, job)

    def _succeeded(self, job: Job, run: Run, value: Any) -> None:
        agent, runtime = self._agent, run.runtime()
        run.has_ended = True
        self._tell_arguments(job, run)
        agent.append(
            records.succeeded(
                ENGINE, job.id, run.attempt, now(), agent.run, run.name, run.queue, received_at=run.received_at,
                started_at=run.started_at, runtime=runtime, result="null" if value is None else agent.show(value), meta=run.meta,
            )
        )  # fmt: skip

    def _failed(self, job: Job, run: Run, error: BaseException, *, will_retry: bool) -> None:
        agent, runtime = self._agent, run.runtime()
        if run.has_ended:
            return
        run.has_ended = True
        self._tell_arguments(job, run)
        kind, text, trace = hooks.error_of(error)
        head = (ENGINE, job.id, run.attempt, now(), agent.run, run.name, run.queue)
        if will_retry:
            wait_s = job.get_retry_interval()
            agent.append(
                records.retried(
                    *head, started_at=run.started_at, runtime=runtime, eta=now() + int(wait_s * 1_000_000) if wait_s else None,
                    reason="", error_type=kind, error=text, traceback=trace, meta=run.meta,
                )
            )  # fmt: skip
        elif isinstance(error, DeserializationError) or is_import_error(error):
            agent.append(
                records.rejected(
                    *head, started_at=run.started_at, runtime=runtime,
                    reason="malformed" if isinstance(error, DeserializationError) else "unknown_task",
                    error=f"{kind}: {text}", traceback=trace, meta=run.meta,
                )
            )  # fmt: skip
        else:
            agent.append(
                records.failed(
                    *head, received_at=run.received_at, started_at=run.started_at, runtime=runtime,
                    reason="time_limit" if isinstance(error, JobTimeoutException) else "",
                    error_type=kind, error=text, traceback=trace, meta=run.meta,
                )
            )  # fmt: skip

    def _failed_elsewhere(self, worker: Any, job: Job) -> None:
        """Main speaks for a horse that cannot: stopped by an operator, or killed."""
        agent, held = self._agent, self.held
        run = f"{agent.boot}.{held.pid}" if held is not None and held.pid else agent.run
        head = (ENGINE, job.id, attempt_of(job), now(), run, name_of(job), job.origin or "")
        killed = job.__dict__.pop("z4j_killed", "")
        if getattr(worker, "_stopped_job_id", None) == job.id:
            agent.append(records.cancelled(*head, reason="stopped"))
        elif killed and _will_retry(job):
            agent.append(
                records.retried(
                    *head, started_at=None, runtime=None, eta=None, reason="child_killed", error_type="", error=killed, traceback=""
                )
            )
        elif killed:
            agent.append(records.lost(*head, reason="child_killed", error=killed))

    # -- ends that are nobody's run ------------------------------------------------------------------------------------
    @guard("an abandoned job")
    def before_failed(self, _registry: Any, *args: Any, **kwargs: Any) -> None:
        """A worker's maintenance found a job whose worker is gone. Elsewhere a failure was told before RQ comes to this."""
        job = job_in(args, kwargs)
        if self._is_cleaning and job is not None:
            agent = self._agent
            head = (ENGINE, job.id, attempt_of(job), now(), agent.run, name_of(job), job.origin or "")
            agent.append(records.lost(*head, reason="worker_gone", error=ABANDONED))

    @guard("before a registry's cleaning")
    def before_cleaning(self, _registry: Any, *_args: Any, **_kwargs: Any) -> None:
        self._is_cleaning = True

    @guard("a registry's cleaning")
    def always_cleaned(self, _registry: Any) -> None:
        self._is_cleaning = False

    @guard("an abandoned job that is tried again")
    def before_retry(self, job: Job, *_args: Any, **_kwargs: Any) -> None:
        """Elsewhere the attempt's end was told before RQ comes to this."""
        if self._is_cleaning:
            agent, wait_s = self._agent, job.get_retry_interval()
            agent.append(
                records.retried(
                    ENGINE, job.id, attempt_of(job), now(), agent.run, name_of(job), job.origin or "", started_at=None, runtime=None,
                    eta=now() + int(wait_s * 1_000_000) if wait_s else None, reason="worker_gone",
                    error_type="", error=ABANDONED, traceback="",
                )
            )  # fmt: skip

    @guard("before a removal")
    def before_removal(self, job: Job, *_args: Any, **_kwargs: Any) -> bool:
        return job._status in WAITING

    @guard("a cancellation")
    def after_cancel(self, job: Job, was_waiting: bool | None, _result: Any, *_args: Any, **_kwargs: Any) -> None:
        self._removed(job, was_waiting, reason="revoked")

    @guard("a deletion")
    def after_delete(self, job: Job, was_waiting: bool | None, _result: Any, *_args: Any, **_kwargs: Any) -> None:
        self._removed(job, was_waiting, reason="deleted")

    def _removed(self, job: Job, was_waiting: bool | None, *, reason: str) -> None:
        if was_waiting:
            agent = self._agent
            head = (ENGINE, job.id, attempt_of(job), now(), agent.run, name_of(job), job.origin or "")
            agent.append(records.cancelled(*head, reason=reason))

    @guard("an expired job")
    def on_gone(self, task_id: str, *_args: Any, **_kwargs: Any) -> None:
        """A worker took an id from its queue, and the job's hash had outlived its `ttl`. Nothing else is known of it any more."""
        frame = sys._getframe(3)
        if frame.f_code.co_name not in ("_fetch_dequeued_job", "dequeue_any"):
            return
        key = frame.f_locals.get("queue_key", "")
        queue = str(key.decode() if isinstance(key, bytes) else key).rpartition(":")[2]
        agent = self._agent
        agent.append(
            records.expired(ENGINE, str(task_id), 0, now(), agent.run, "", queue, error="its ttl was over when a worker came to it")
        )

    def _at_exit(self) -> None:
        """The process ends within seconds also when nobody listens; what was not sent is in the spool and goes with the next."""
        agent = self._agent
        if agent.is_connected_process:
            agent.flush(EXIT_WAIT_S)
            agent.stop(EXIT_WAIT_S)


def _will_retry(job: Job) -> bool:
    return bool(job.retries_left and job.retries_left > 0)


__all__ = ["Capture", "Held"]
