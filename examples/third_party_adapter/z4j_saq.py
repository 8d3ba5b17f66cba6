# SPDX-License-Identifier: Apache-2.0
"""Reports SAQ jobs to z4j: a complete adapter in one file. An application calls `z4j_saq.install(queue)`, nothing else.

SAQ runs its own hooks before a job is stored and does not pass them the outcome. The adapter therefore wraps the five methods that every
job passes through, with any storage of the queue.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

import saq
from saq.job import ACTIVE_STATUSES, Job, Status
from saq.queue import Queue
from saq.worker import Worker

import z4j_agent
from z4j_agent import (
    Adapter,
    Agent,
    Capability,
    Original,
    Patches,
    QueueInfo,
    Refused,
    RunningTask,
    TaskInfo,
    Unsupported,
    WorkerInfo,
    guard,
    hooks,
    records,
)
from z4j_agent.capture import current_run, log_lines
from z4j_agent.capture.run_usage import used

ENGINE = "saq"
OLDEST = (0, 26)
NOT_REPEATED = frozenset({"key", "queue", "queued", "touched", "status", "scheduled", "attempts", "started", "worker_id"})
"""Fields that a job gets each time it is enqueued. A retry does not copy them."""
STATES = {Status.COMPLETE: "succeeded", Status.FAILED: "failed", Status.ABORTED: "cancelled", Status.ACTIVE: "running"}

nothing: Callable[..., None] = lambda *_, **__: None  # noqa: E731
_current: contextvars.ContextVar[Job | None] = contextvars.ContextVar("z4j_saq_job", default=None)


class Run:
    """One attempt, in the worker that runs it; kept as an attribute of SAQ's job object."""

    def __init__(self, job: Job) -> None:
        self.attempt = max(job.attempts - 1, 0)
        self.received_at = hooks.now()
        self.started_at: int | None = None
        self.started_ns = 0
        self.current_run: current_run.CurrentRun | None = None

    def times(self) -> dict[str, Any]:
        runtime = (time.perf_counter_ns() - self.started_ns) // 1000 if self.started_ns else None
        return {"started_at": self.started_at, "runtime": runtime}


class SaqAdapter(Adapter):
    engine: ClassVar[str] = ENGINE
    capabilities: ClassVar[tuple[Capability, ...]] = (
        Capability("retry_task", "worker", "exact", note="Enqueues the original job again under a new key."),
        Capability("cancel_task", "worker", "exact", ("scheduled", "queued", "retrying")),
        Capability("terminate_task", "worker", "best_effort", ("running",), "Cancels the task at its next await."),
    )

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.workers: list[Worker] = []
        self.running: dict[str, Job] = {}
        self.name = ""
        self._agent: Agent
        self._patches = Patches()

    def engine_version(self) -> str:
        return str(saq.__version__)

    # -- the hooks -----------------------------------------------------------------------------------------------------
    def install(self) -> None:
        agent = z4j_agent.current()
        if agent is None:
            return
        self._agent = agent
        log_lines.ignore("saq")
        self._wrap(Queue, "enqueue", after=self.on_enqueued)
        self._wrap(Worker, "start", before=self.on_start)
        self._wrap(Worker, "_before_process", before=self.on_received, after=self.on_started)
        self._wrap(Queue, "finish", after=self.on_finished)
        self._wrap(Queue, "retry", after=self.on_retried)
        agent.close_at_exit()

    def uninstall(self) -> None:
        self._patches.restore()

    def _wrap(self, owner: type, name: str, before: Callable[..., Any] = nothing, after: Callable[..., Any] = nothing) -> None:
        async def around(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            before(*args, **kwargs)
            result = await original(*args, **kwargs)
            after(result, *args, **kwargs)
            return result

        self._patches.around(owner, name, around)

    def _head(self, job: Job, attempt: int, at: int | None = None) -> tuple[str, str, int, int, str, str, str]:
        queue = job.queue.name if job.queue else ""
        return ENGINE, job.key, attempt, at or hooks.now(), self._agent.run, job.function, queue

    @guard("enqueue")
    def on_enqueued(self, job: Job | None, queue: Queue, *_: Any, **__: Any) -> None:
        if job is None:
            return  # a job with this key exists: nothing was enqueued
        agent, parent = self._agent, _current.get()
        code = hooks.calling_code({"saq", "z4j_saq"}, commands=("/saq", "/saq/__main__.py"))
        meta = {"code": code, "parent_id": parent.key if parent else None, "retry_of": getattr(job, "z4j_retry_of", None)}
        eta = int(job.scheduled * 1_000_000) or None
        agent.append(records.enqueued(*self._head(job, 0, job.queued * 1000), eta=eta, meta=records.meta(meta)))
        original = {key: value for key, value in job.to_dict().items() if key not in NOT_REPEATED}
        agent.append(agent.payload(ENGINE, job.key, 0, job.function, queue.name, 2, (), job.kwargs or {}, original))
        agent.connect()

    @guard("start of a worker")
    def on_start(self, worker: Worker) -> None:
        self.workers.append(worker)
        if not self.name:
            self.name = f"{(seat := f'{worker.queue.name}@{self._agent.host}')}:{os.getpid()}"
            self._agent.become_worker(self.name, seat)
        self._agent.connect()

    @guard("before_process")
    def on_received(self, _: Worker, ctx: Any) -> None:
        job = ctx["job"]
        job.z4j_run = run = Run(job)
        self.running[job.key] = job
        _current.set(job)  # SAQ starts the task in a copy of this context
        self._agent.append(records.received(*self._head(job, run.attempt, run.received_at)))

    @guard("before_process")
    def on_started(self, _: None, worker: Worker, ctx: Any) -> None:
        job = ctx["job"]
        if job.function in worker.functions:
            run = job.z4j_run
            run.started_ns, run.started_at = time.perf_counter_ns(), hooks.now()
            self._agent.append(records.started(*self._head(job, run.attempt, run.started_at)))
            about = (ENGINE, job.key, run.attempt, run.started_at, job.function, job.queue.name if job.queue else "")
            run.current_run = current_run.begin(self._agent, *about)

    @guard("finish")
    def on_finished(self, _: None, queue: Queue, job: Job, status: Status, *, result: Any = None, error: str | None = None) -> None:
        agent, run, raised = self._agent, self._take_run(job), sys.exc_info()[1]
        if run is None:
            if status == Status.ABORTED and not job.started:  # the worker that runs it reports it
                agent.append(records.cancelled(*self._head(job, job.attempts), reason="revoked"))
            return
        head, times = self._head(job, run.attempt), run.times()
        if status == Status.COMPLETE:
            usage = used(run.current_run)
            agent.append(records.succeeded(*head, received_at=run.received_at, result=agent.show(result), usage=usage, **times))
        elif status == Status.ABORTED:
            agent.append(records.cancelled(*head, reason="stopped", **times))
        elif run.started_at is None and isinstance(raised, KeyError):
            agent.append(records.rejected(*head, reason="unknown_task", error=f"this worker has no function {job.function}"))
        else:
            reason = "time_limit" if isinstance(raised, TimeoutError) and (times["runtime"] or 0) >= job.timeout * 990_000 else ""
            agent.append(records.failed(*head, received_at=run.received_at, reason=reason, **self._failure(run, raised, error)))

    @guard("retry")
    def on_retried(self, _: None, queue: Queue, job: Job, error: str | None) -> None:
        agent, run, raised = self._agent, self._take_run(job), sys.exc_info()[1]
        if run is None:
            return
        at = hooks.now()
        eta = at + int(job.retry_delay * 1_000_000) if job.retry_delay and job.retry_backoff is False else None
        reason = "shutdown" if isinstance(raised, asyncio.CancelledError) else ""
        agent.append(records.retried(*self._head(job, run.attempt, at), eta=eta, reason=reason, **self._failure(run, raised, error)))
        agent.append(records.enqueued(*self._head(job, run.attempt + 1, at), eta=eta))

    def _failure(self, run: Run, raised: BaseException | None, error: str | None) -> dict[str, Any]:
        """The fields of a failed attempt. SAQ passes text only, but inside its `except`, so the exception is `sys.exc_info()[1]`."""
        error_type, text, traceback = hooks.error_of(raised) if raised is not None else ("", error or "", "")
        return {**run.times(), "usage": used(run.current_run), "error_type": error_type, "error": text, "traceback": traceback}

    def _take_run(self, job: Job) -> Run | None:
        """Removes and returns the run of this job object. SAQ also finishes another object of the same job at an abort; that has none."""
        run: Run | None = job.__dict__.pop("z4j_run", None)
        if run is not None:
            self.running.pop(job.key, None)
            current_run.end(run.current_run)
        return run

    # -- discovery, in the agent's thread ------------------------------------------------------------------------------
    def list_tasks(self) -> list[TaskInfo]:
        functions = {name: function for worker in self.workers for name, function in worker.functions.items()}
        return [TaskInfo(name, *hooks.signature_of(function, passed=1), self.queue.name) for name, function in sorted(functions.items())]

    def list_queues(self) -> list[QueueInfo]:
        return [QueueInfo(self.queue.name, self._run(self.queue.count("queued")) if self.workers else None)]

    def worker(self) -> WorkerInfo | None:
        if not self.workers:
            return None
        return WorkerInfo(self.name, "asyncio", sum(worker.concurrency for worker in self.workers), (self.queue.name,), (os.getpid(),))

    def list_running(self) -> list[RunningTask]:
        runs = [(job, job.__dict__.get("z4j_run")) for job in list(self.running.values())]
        return [RunningTask(j.key, r.attempt, j.function, self.queue.name, r.started_at or 0, os.getpid()) for j, r in runs if r]

    # -- commands ------------------------------------------------------------------------------------------------------
    def _run(self, call: Coroutine[Any, Any, Any]) -> Any:
        """Runs a coroutine in the worker's event loop, to which SAQ's queues are bound. Raises Unsupported in a producer, and TimeoutError
        if it takes longer than 5 seconds."""
        if not self.workers:
            call.close()
            raise Unsupported("this process runs no SAQ worker, so it cannot reach the queue")
        return asyncio.run_coroutine_threadsafe(call, self.queue.loop).result(5.0)

    def retry_task(self, original: Original, *, new_id: str) -> dict[str, Any]:
        job = Job(**{**original.data, "function": original.name, "key": new_id})
        job.z4j_retry_of = original.task_id
        self._run(self.queue.enqueue(job))
        return {"task_id": new_id, "queue": self.queue.name}

    def cancel_task(self, task_id: str) -> dict[str, Any]:
        return dict(self._run(self._cancel(task_id)))

    async def _cancel(self, task_id: str) -> dict[str, Any]:
        job = await self.queue.job(task_id)
        if job is None or job.status not in ACTIVE_STATUSES or job.status == Status.ACTIVE:
            raise Refused("the job is not queued: it has started or ended. No changes were made.")
        await self.queue.abort(job, "cancelled by an operator")
        if job.status == Status.ABORTING:  # SAQ does not finish a job that was only scheduled
            await self.queue.finish(job, Status.ABORTED, error=job.error)
        return {"queue": self.queue.name}

    def terminate_task(self, task_id: str) -> dict[str, Any]:
        job = self.running.get(task_id)
        if job is None:
            raise Refused("this worker is not running the job; it may have ended. No changes were made.")
        self._run(self.queue.abort(job, "stopped by an operator"))
        return {"note": "the worker cancels it within a second"}

    def lookup_task(self, task_id: str) -> dict[str, Any]:
        job = self._run(self.queue.job(task_id))
        return {"state": STATES.get(job.status, "queued") if job else "unknown", "engine_state": str(job.status) if job else ""}


def install(queue: Queue, **settings: Any) -> None:
    """Watches this queue and the workers of this process. `settings` are those of `z4j_agent.start`. Never raises; without `Z4J_URL` it
    does nothing."""
    _installation.install(queue, **settings)


def uninstall(queue: Queue | None = None) -> None:
    """Restores SAQ's own methods."""
    _installation.uninstall(queue)


_installation = hooks.Installation("SAQ", "saq:__version__", OLDEST, lambda: SaqAdapter)
