# SPDX-License-Identifier: Apache-2.0
"""Turns the steps of arq's jobs into records (`docs/engines.md` has a row per outcome).

All methods are called by the wrappers of `wrappers.py`, in the worker's or the producer's event loop, and are guarded. The outcome of a
run is in two places: the task's function has the value or the exception with its traceback, and `finish_job` has arq's decision:
finished, or retried.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any, Protocol

from arq.worker import Retry

import z4j_agent
from z4j_agent.agent import Agent
from z4j_agent.capture import current_run
from z4j_agent.capture.guard import guard
from z4j_agent.capture.hooks import error_of
from z4j_agent.capture.run_usage import used
from z4j_agent.wire import records
from z4j_arq import originals, pausing
from z4j_arq.attempts import UNKNOWN_ATTEMPT, Run, Sending, current
from z4j_arq.messages import ENGINE, attempt_of, calling_code, due, ms_of, now, parameter_names, task_id_of
from z4j_arq.schedulers.cron_jobs import beat
from z4j_arq.state import ArqState

MOST_NAMES = 10_000
OWN_ARGUMENTS = frozenset({"_job_id", "_queue_name", "_defer_until", "_defer_by", "_expires", "_job_try"})
"""Keyword arguments of `enqueue_job` that belong to arq and not to the job."""


class Placed(Protocol):
    """The wrappers of arq's methods, see `wrappers`."""

    def put(self) -> None:
        """Wraps arq's methods."""

    def undo(self) -> None:
        """Removes the wrappers."""

    def adopt(self, worker: Any, name: str, function: Any) -> None:
        """Wraps a function before the worker runs it for the first time."""

    def report_stop(self, worker: Any) -> None:
        """Reports when the worker cancels its running jobs."""


class Capture:
    """Keeps data between two calls of arq, and makes the records."""

    def __init__(self, state: ArqState, install: Callable[[Capture], Placed]) -> None:
        """`install` creates the wrappers of arq's methods, which call this object."""
        self.state = state
        self._install = install
        self._wrappers = install(self)
        self._agent: Agent

    def connect(self) -> None:
        """Wraps arq's methods. Does nothing without an agent."""
        agent = z4j_agent.current()
        if agent is None:
            return
        self._agent = agent
        self._wrappers = self._install(self)  # earlier wrappers that another library has stored have no effect now
        self._wrappers.put()
        agent.close_at_exit()

    def disconnect(self) -> None:
        """Removes the wrappers."""
        self._wrappers.undo()
        self.state.crons.forget()

    # -- the producer --------------------------------------------------------------------------------------------------
    @guard("enqueue_job")
    def on_enqueue(self, pool: Any, name: Any) -> Sending:
        """Called before arq serialises. Only arq's own pickles are marked: another serialiser may refuse an unknown key."""
        run = current.get()
        sending = Sending(calling_code(), run.task_id if run is not None else "")
        coroutine = self.state.coroutine_of(str(name))
        sending.names = None if coroutine is None else parameter_names(coroutine)
        sending.is_marked = coroutine is not None and pool.job_serializer is None
        return sending

    @guard("enqueue_job")
    def on_enqueued(self, sending: Sending, pool: Any, job: Any, name: Any, args: Any, options: dict[str, Any]) -> None:
        """Reports a job that Redis has accepted. `options` are the keyword arguments of `enqueue_job`: arq's own and the job's."""
        agent, name = self._agent, str(name)
        task_id, queue = task_id_of(job.job_id, sending.enqueued_ms), str(options.get("_queue_name") or pool.default_queue_name)
        attempt = attempt_of(options.get("_job_try"))
        expires = options.get("_expires")
        meta = records.meta(
            {
                "code": sending.code,
                "parent_id": sending.parent_id,
                "expires": sending.at + ms_of(expires) * 1000 if expires else None,
            }
        )
        eta = due(sending.at, options.get("_defer_until"), options.get("_defer_by"))
        record = records.enqueued(ENGINE, task_id, attempt, sending.at, agent.run, name, queue, eta=eta, meta=meta)
        if sending.names is not None:
            kwargs = {key: value for key, value in options.items() if key not in OWN_ARGUMENTS}
            broker = self.state.known.identity_of(pool)
            sent_job = originals.Job(task_id, attempt, name, queue, args, kwargs, sending.body, sending.names, broker)
            agent.append_with(record, lambda: originals.record_of_arguments(agent, sent_job, originals.BY_PRODUCER))
        else:
            agent.append(record)
        if beat.get() is None and (name in self.state.enqueued or len(self.state.enqueued) < MOST_NAMES):
            self.state.enqueued[name] = queue  # an operator may have changed a job of cron
        self.state.known.meet(pool, queue)
        agent.connect()

    # -- the worker ----------------------------------------------------------------------------------------------------
    @guard("main")
    def on_main(self, worker: Any) -> None:
        """Called at the start of a worker; with `--watch` again after every change."""
        if not self.state.worker_name:
            seat = f"{worker.queue_name}@{self._agent.host}"
            self.state.worker_name = f"{seat}:{os.getpid()}"
            if not self._agent.is_connected_process:  # else it is already connected under its earlier identity
                self._agent.become_worker(self.state.worker_name, seat)
        self.state.crons.table_of(worker)  # before the agent's thread reads it
        self.state.workers.append(worker)
        self.state.stopping.discard(id(worker))
        self.state.ending.pop(id(worker), None)
        pausing.reapply_pauses(self.state, worker)
        self._wrappers.report_stop(worker)
        self._agent.connect()

    def on_main_ended(self, worker: Any) -> None:
        """Called when a worker's loop has ended: with `--watch` its successor begins in this process."""
        self.state.crons.on_end(worker)
        if worker in self.state.workers:
            self.state.workers.remove(worker)

    @guard("run_job")
    def on_taken(self, worker: Any, job_id: str, score: int) -> Run:
        """Called with an ID that the worker has claimed, before it reads the job. `score` is the time in the queue, in milliseconds UTC."""
        run = self.state.running[id(worker), job_id] = Run(worker, job_id, score)
        return run

    @guard("deserialize_job")
    def on_message(self, run: Run, body: bytes, message: Any) -> None:
        """Called when the worker has read a job: `message` is what arq has decoded from the bytes of `body`."""
        run.read(body, message)
        function = run.worker.functions.get(run.name)
        if function is None:
            return
        run.limit_s = run.worker.job_timeout_s if function.timeout_s is None else function.timeout_s
        self._wrappers.adopt(run.worker, run.name, function)

    @guard("on_job_start")
    def on_job_start(self, run: Run | None, job_try: Any, *, is_waiting: bool) -> None:
        """`is_waiting`: the start does not follow at once, because the application has a hook of its own."""
        if run is not None:
            self._begin_attempt(run, attempt_of(job_try))
            if is_waiting:
                self._report_received(run)

    def _report_received(self, run: Run) -> None:
        """Reports the receipt of a job that has not started. Otherwise the record of the start is sufficient."""
        if run.started_at is None and not run.is_receipt_reported:
            run.is_receipt_reported = True
            self._agent.append(records.received(*run.head(run.received_at, self._agent.run)))

    def _begin_attempt(self, run: Run, attempt: int) -> None:
        if run.attempt != UNKNOWN_ATTEMPT:
            return
        run.attempt = attempt
        agent = self._agent
        if run.has_message and not run.is_marked:
            function = run.worker.functions.get(run.name)
            names = () if function is None else parameter_names(function.coroutine)
            broker = self.state.known.identity_of(run.worker.pool)
            job = originals.Job(run.task_id, attempt, run.name, run.queue, run.args, run.kwargs, run.body, names, broker)
            if record := originals.record_of_arguments(agent, job, originals.BY_WORKER):
                agent.append(record)

    @guard("start of a task")
    def on_start(self, run: Run | None, ctx: Any) -> None:
        """Reports the start, right before the task's function is called. arq counts tries from 1, attempts are counted from 0."""
        if run is None:
            return
        self._begin_attempt(run, attempt_of(ctx["job_try"]))
        agent = self._agent
        started_at = run.begin()
        agent.append(records.started(*run.head(started_at, agent.run)))
        run.current_run = current_run.begin(agent, ENGINE, run.task_id, max(run.attempt, 0), started_at, run.name, run.queue)

    @guard("end of a task")
    def on_returned(self, run: Run | None, value: Any) -> None:
        """Stores the result, masked, until arq has decided about the job."""
        if run is None:
            return
        run.stop_clock()
        current_run.end(run.current_run)
        run.did_return = True
        run.result = "null" if value is None else self._agent.show(value)

    @guard("end of a task")
    def on_raised(self, run: Run | None, error: BaseException) -> None:
        """Called inside the wrapped function: later the traceback would begin with arq's own frames, and the abortion would be lost."""
        if run is None:
            return
        run.stop_clock()
        current_run.end(run.current_run)
        run.error = error
        if isinstance(error, asyncio.CancelledError):
            run.is_aborted = run.job_id in run.worker.aborting_tasks
            run.is_stopping = id(run.worker) in self.state.stopping
        if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
            error.__traceback__ = error.__traceback__.tb_next  # without the wrapper's frame
        run.error_fields = error_of(_cause(error) if run.worker.retry_jobs else error)

    @guard("serialize_result")
    def on_result(self, run: Run, data: Any) -> None:
        """Called with the result that arq will store: the only place with the try of a job that never started."""
        if run.has_verdict:
            return  # a second call, with a text instead of the value that could not be serialised
        run.has_verdict = True
        if not data["s"]:
            run.failure = data["r"]
        self._begin_attempt(run, attempt_of(data["t"]))
        self._report_received(run)

    # -- outcomes ------------------------------------------------------------------------------------------------------
    @guard("finish_job")
    def on_finished(self, run: Run | None, finish: bool) -> None:
        """Called when arq has stored the outcome of a job that it ran."""
        if run is None or run.has_ended:
            return
        run.has_ended = True
        self._report_received(run)
        if run.is_asked_to_stop:
            run.worker.aborting_tasks.discard(run.job_id)  # a task that caught it and ended in another way would leave it behind
        if not finish:
            self._report_retried(run)
        elif run.did_return and run.failure is None:
            self._report_succeeded(run)
        elif run.is_aborted or (run.started_at is None and isinstance(run.failure, asyncio.CancelledError | None)):
            self._report_cancelled(run, reason="stopped")
        else:
            self._report_failed(run)

    @guard("finish_failed_job")
    def on_failed(self, run: Run | None) -> None:
        """Called when arq has dropped a job without running it. The reason is derived from arq's last step, not from its message."""
        if run is None or run.has_ended:
            return
        run.has_ended = True
        agent, head = self._agent, run.head(now(), self._agent.run)
        _, error, traceback = error_of(run.failure) if run.failure is not None else ("", "", "")
        if run.malformed is not None:
            agent.append(records.rejected(*head, reason="malformed", error=error, traceback=traceback))
        elif not run.has_message:
            agent.append(records.expired(*head, error="its message was missing in Redis when a worker received it"))
        elif isinstance(run.failure, asyncio.CancelledError):
            self._report_cancelled(run, reason="revoked")
        elif run.name not in run.worker.functions:
            agent.append(records.rejected(*head, reason="unknown_task", error=error))
        else:
            self._report_tries_used_up(run, error)

    @guard("run_job")
    def on_broken(self, run: Run | None, error: BaseException) -> None:
        """Called when arq did not decide: a hook of the application raised, Redis was lost, or the worker was stopped in between.

        The job is still in its queue; arq runs it again when its in-progress key has expired.
        """
        if run is None or run.has_ended or run.attempt == UNKNOWN_ATTEMPT:
            return
        if run.is_finishing and isinstance(error, asyncio.CancelledError):
            return  # the outcome is still being stored (asyncio.shield)
        run.has_ended = True
        self._report_received(run)
        reason = "shutdown" if isinstance(error, asyncio.CancelledError) else "interrupted"
        at = now()
        self._report_again(run, at, at + int(run.worker.in_progress_timeout_s * 1_000_000), reason, error_of(error))

    def on_left(self, run: Run | None) -> None:
        """Called when arq's `run_job` has returned or raised: the job is no longer one of those that run."""
        if run is not None and self.state.running.get((id(run.worker), run.job_id)) is run:
            del self.state.running[id(run.worker), run.job_id]

    def _report_succeeded(self, run: Run) -> None:
        agent = self._agent
        meta = records.NO_META if run.is_kept else '{"reason":"unserializable_result"}'
        agent.append(
            records.succeeded(
                *run.head(now(), agent.run), received_at=run.received_at, started_at=run.started_at, runtime=run.runtime,
                result=run.result, meta=meta,
                usage=used(run.current_run),
            )
        )  # fmt: skip

    def _report_cancelled(self, run: Run, reason: str) -> None:
        agent = self._agent
        agent.append(records.cancelled(*run.head(now(), agent.run), started_at=run.started_at, runtime=run.runtime, reason=reason))

    def _report_failed(self, run: Run) -> None:
        agent, failure = self._agent, run.failure
        error_type, error, traceback = run.error_fields
        reason = ""
        if isinstance(run.error, asyncio.CancelledError):
            is_late = run.limit_s is not None and run.runtime is not None and run.runtime >= run.limit_s * 990_000
            if is_late and not run.is_stopping:
                reason = "time_limit"
                error_type, error = "TimeoutError", f"it ran longer than its limit of {run.limit_s:g} s"
            elif run.is_stopping:
                reason = "shutdown"
        elif run.error is None and failure is not None:
            error_type, error, traceback = error_of(failure)
        agent.append(
            records.failed(
                *run.head(now(), agent.run), received_at=run.received_at, started_at=run.started_at, runtime=run.runtime,
                reason=reason, error_type=error_type, error=error, traceback=traceback,
                usage=used(run.current_run),
            )
        )  # fmt: skip

    def _report_tries_used_up(self, run: Run, error: str) -> None:
        agent = self._agent
        agent.append(
            records.failed(
                *run.head(now(), agent.run), received_at=run.received_at, started_at=None, runtime=None, reason="max_tries",
                error_type=type(run.failure).__name__, error=error, traceback="",
            )
        )  # fmt: skip

    def _report_retried(self, run: Run) -> None:
        at, error = now(), run.error
        defer_ms = (error.defer_score or 0) if isinstance(error, Retry) else 0
        reason = "shutdown" if run.is_stopping or (run.started_at is None and id(run.worker) in self.state.stopping) else ""
        self._report_again(run, at, at + defer_ms * 1000 if defer_ms else None, reason, run.error_fields)

    def _report_again(self, run: Run, at: int, eta: int | None, reason: str, error_fields: tuple[str, str, str]) -> None:
        """Reports the end of this try; the job is in its queue for the next one."""
        agent = self._agent
        error_type, error, traceback = error_fields
        agent.append(
            records.retried(
                *run.head(at, agent.run), started_at=run.started_at, runtime=run.runtime, eta=eta, reason=reason,
                error_type=error_type, error=error, traceback=traceback,
                usage=used(run.current_run),
            )
        )  # fmt: skip
        agent.append(records.enqueued(ENGINE, run.task_id, run.attempt + 1, at, agent.run, run.name, run.queue, eta=eta))


def _cause(error: BaseException) -> BaseException:
    """The cause of a retry: the exception that the task handles while it raises Retry, or Retry itself."""
    if isinstance(error, Retry):
        cause: BaseException | None = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return cause or error
    return error
