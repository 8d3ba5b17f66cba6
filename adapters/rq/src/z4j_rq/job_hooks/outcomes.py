# SPDX-License-Identifier: Apache-2.0
"""Rules for the outcomes of RQ: which record reports what has happened to a job. Without I/O."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from rq.exceptions import DeserializationError
from rq.job import Job, Retry
from rq.timeouts import JobTimeoutException

from z4j_agent.capture import hooks
from z4j_agent.capture.current_run import CurrentRun
from z4j_agent.capture.hooks import now
from z4j_agent.capture.run_usage import used
from z4j_agent.wire import records
from z4j_rq.job_hooks.job_marks import attempt_of
from z4j_rq.messages import ENGINE, is_import_error, name_of

ABANDONED = "no worker has renewed its claim on the task"
TTL_OVER = "its ttl had expired when a worker received it"
EAGER = '{"eager":true}'


@dataclass(slots=True)
class RunningJob:
    """The job that a worker's main process has taken."""

    task_id: str
    attempt: int
    name: str
    queue: str
    received_at: int
    started_at: int = 0
    pid: int = 0
    is_reported: bool = False
    """Whether its arguments were already reported; otherwise the work horse reports them, which has the function."""


class RunningJobs:
    """The jobs that the workers of this process have taken, at most one each; a forked horse has a copy. Several workers may run in
    threads of one process."""

    def __init__(self) -> None:
        self._running: dict[int, RunningJob] = {}

    def of(self, worker: Any) -> RunningJob | None:
        """The job of this worker. None in a spawned horse, which has no worker."""
        return self._running.get(id(worker))

    def take(self, worker: Any, running: RunningJob) -> None:
        """Sets the job of this worker."""
        self._running[id(worker)] = running

    def empty(self, worker: Any) -> None:
        """Removes the job of this worker, if it has one."""
        self._running.pop(id(worker), None)

    def all(self) -> list[RunningJob]:
        """Returns the jobs of all workers of this process."""
        return list(self._running.values())


class Run:
    """One run of a task, in the process that executes it."""

    __slots__ = ("attempt", "began_ns", "current_run", "has_ended", "is_reported", "meta", "name", "queue", "received_at", "started_at")

    def __init__(self, job: Job, received_at: int | None, meta: str = records.NO_META) -> None:
        self.began_ns, self.started_at = time.perf_counter_ns(), now()
        self.attempt, self.name, self.queue = attempt_of(job), name_of(job), job.origin or ""
        self.received_at, self.meta, self.has_ended, self.is_reported = received_at, meta, False, True
        self.current_run: CurrentRun | None = None

    def runtime(self) -> int:
        """Microseconds since the start, by this process's monotonic clock."""
        return (time.perf_counter_ns() - self.began_ns) // 1000


def will_retry(job: Job) -> bool:
    """Whether RQ enqueues the job again if this attempt fails."""
    return bool(job.retries_left and job.retries_left > 0)


def _due(wait_s: float) -> int | None:
    return now() + int(wait_s * 1_000_000) if wait_s else None


# -- reported by the process that ran the task; `by` is its process token ----------------------------------------------------------
def begun(job: Job, run: Run, by: str) -> bytes:
    """The record of a start."""
    return records.started(ENGINE, job.id, run.attempt, run.started_at, by, run.name, run.queue, meta=run.meta)


def succeeded(job: Job, run: Run, by: str, *, runtime: int, result: str) -> bytes:
    """The record of a success. `runtime` is in microseconds, `result` is the masked text of the value."""
    return records.succeeded(
        ENGINE, job.id, run.attempt, now(), by, run.name, run.queue, received_at=run.received_at, started_at=run.started_at,
        runtime=runtime, result=result, meta=run.meta,
                usage=used(run.current_run),
    )  # fmt: skip


def raised(job: Job, run: Run, by: str, error: BaseException, *, runtime: int, is_tried_again: bool) -> bytes:
    """The record of an attempt that ended with an exception: retried, rejected, or failed."""
    kind, text, trace = hooks.error_of(error)
    head = (ENGINE, job.id, run.attempt, now(), by, run.name, run.queue)
    if is_tried_again:
        return records.retried(
            *head, started_at=run.started_at, runtime=runtime, eta=_due(job.get_retry_interval()), reason="", error_type=kind, error=text,
            traceback=trace, meta=run.meta,
                usage=used(run.current_run),
        )  # fmt: skip
    if isinstance(error, DeserializationError) or is_import_error(error):
        return records.rejected(
            *head, started_at=run.started_at, runtime=runtime,
            reason="malformed" if isinstance(error, DeserializationError) else "unknown_task",
            error=f"{kind}: {text}", traceback=trace, meta=run.meta,
        )  # fmt: skip
    return records.failed(
        *head, received_at=run.received_at, started_at=run.started_at, runtime=runtime,
        reason="time_limit" if isinstance(error, JobTimeoutException) else "",
        error_type=kind, error=text, traceback=trace, meta=run.meta,
                usage=used(run.current_run),
    )  # fmt: skip


def returned_retry(job: Job, run: Run, by: str, retry: Retry) -> bytes:
    """The record of a task that returned `Retry`: RQ counts these in `number_of_retries`, and one above the maximum is a failure."""
    tried = job.number_of_retries or 0
    head = (ENGINE, job.id, run.attempt, now(), by, run.name, run.queue)
    if tried >= retry.max:
        return records.failed(
            *head, received_at=run.received_at, started_at=run.started_at, runtime=run.runtime(), reason="retries_exhausted",
            error_type="Retry", error=f"the task returned Retry(max={retry.max}) once more", traceback="", meta=run.meta,
                usage=used(run.current_run),
        )  # fmt: skip
    return records.retried(
        *head, started_at=run.started_at, runtime=run.runtime(), eta=_due(Retry.get_interval(tried, retry.intervals)),
        reason="returned", error_type="Retry", error="", traceback="", meta=run.meta,
                usage=used(run.current_run),
    )  # fmt: skip


# -- reported by another process -----------------------------------------------------------------------------------------------
def horse_gone(job: Job, by: str, *, is_stopped: bool, killed: str) -> bytes | None:
    """The record for a horse that has ended: stopped by an operator, or `killed`, which describes how. None if it was neither."""
    head = (ENGINE, job.id, attempt_of(job), now(), by, name_of(job), job.origin or "")
    if is_stopped:
        return records.cancelled(*head, reason="stopped")
    if killed and will_retry(job):
        return records.retried(
            *head, started_at=None, runtime=None, eta=None, reason="child_killed", error_type="", error=killed, traceback=""
        )
    return records.lost(*head, reason="child_killed", error=killed) if killed else None


def abandoned(job: Job, by: str, *, is_tried_again: bool) -> bytes:
    """The record of a job whose worker is gone, found by a worker's maintenance."""
    head = (ENGINE, job.id, attempt_of(job), now(), by, name_of(job), job.origin or "")
    if not is_tried_again:
        return records.lost(*head, reason="worker_gone", error=ABANDONED)
    return records.retried(
        *head, started_at=None, runtime=None, eta=_due(job.get_retry_interval()), reason="worker_gone",
        error_type="", error=ABANDONED, traceback="",
    )  # fmt: skip


def removed(job: Job, by: str, *, is_deleted: bool) -> bytes:
    """The record of a queued job that will not run."""
    head = (ENGINE, job.id, attempt_of(job), now(), by, name_of(job), job.origin or "")
    return records.cancelled(*head, reason="deleted" if is_deleted else "revoked")


def outlived(task_id: str, queue: str, by: str) -> bytes:
    """The record for an ID in a queue whose job's hash has expired (`ttl`). Nothing else of the job is known."""
    return records.expired(ENGINE, task_id, 0, now(), by, "", queue, error=TTL_OVER)
