# SPDX-License-Identifier: Apache-2.0
"""Hooks where a task runs: in a work horse, in a simple worker, or in its caller if the queue has no workers.

Only there the traceback of a failed attempt that will be retried is available. A horse only writes to the spool, and written events
survive `os._exit`.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from rq.job import Job, Retry, get_current_job
from rq.queue import Queue
from rq.worker import BaseWorker

from z4j_agent.agent import Agent
from z4j_agent.capture import current_run
from z4j_agent.capture.guard import guard
from z4j_rq import originals
from z4j_rq.job_hooks import outcomes
from z4j_rq.job_hooks.job_marks import is_reported, note_of
from z4j_rq.job_hooks.outcomes import Run, RunningJobs
from z4j_rq.job_hooks.patches import Patches
from z4j_rq.job_hooks.spawning import parent_boot
from z4j_rq.known_queues import Known
from z4j_rq.messages import ENGINE, function_of, job_in


def run_of(job: Job | None) -> Run | None:
    """The run of a job in this process, None if it does not run here."""
    run: Run | None = note_of(job).run if job is not None else None
    return run


class Running:
    """Hooks of runs. The data of a run is in the note of its job."""

    def __init__(self, agent: Agent, hands: RunningJobs, known: Known) -> None:
        self._agent = agent
        self._known = known
        self._hands = hands
        self._inline: Job | None = None

    def connect(self, patches: Patches) -> None:
        """Wraps the methods of RQ's workers that run a job, and `Queue.run_job` for queues without workers."""
        patches.look(Queue, "run_job", before=self.before_inline, after=self.after_inline, always=self.always_inline)
        patches.look_all(BaseWorker, "perform_job", before=self.before_perform, always=self.after_perform)
        patches.look_all(BaseWorker, "handle_exception", after=self.after_exception)
        patches.look_all(BaseWorker, "handle_job_success", after=self.after_success)
        patches.look_all(BaseWorker, "handle_job_retry", before=self.before_returned_retry)
        patches.look_all(BaseWorker, "handle_job_failure", before=self.before_failure)

    @guard("a spawned horse")
    def join_worker(self) -> None:
        """RQ 2 passes no handler to a spawned horse: there the task's own module installs z4j, when RQ loads it to call the task."""
        boot = parent_boot()
        if boot:
            self._agent.become_child(os.environ.get("RQ_WORKER_ID", ""), boot)
            job = get_current_job()
            if job is not None:
                self.before_perform(None, job)

    # -- in a horse, or in a worker that has none ------------------------------------------------------------------------
    @guard("a task's start")
    def before_perform(self, worker: Any, *args: Any, **kwargs: Any) -> None:
        """Reports the start of a job, in its horse or in a worker that has none. `worker` is None in a spawned horse."""
        job = job_in(args, kwargs)
        if job is None:
            return
        running = self._hands.of(worker)
        run = Run(job, running.received_at if running is not None and running.task_id == job.id else None)
        note_of(job).run = run
        if running is not None and not running.started_at:  # no horse: the worker itself runs it
            running.started_at, running.pid = run.started_at, os.getpid()
        self._agent.append(outcomes.begun(job, run, self._agent.run))
        self._begin(job, run)
        run.is_reported = running.is_reported if running is not None else is_reported(job)
        if function_of(run.name) is not None:
            self._report_arguments(job, run)

    def _begin(self, job: Job, run: Run) -> None:
        run.current_run = current_run.begin(self._agent, ENGINE, job.id, run.attempt, run.started_at, run.name, run.queue)
        run.current_run.is_own_process = self._agent.is_worker_child

    @guard("a task's end")
    def after_perform(self, worker: Any, *_: Any) -> None:
        """Called when `perform_job` has returned or raised, in the thread of the run: its end may have no hook of its own."""
        run = current_run.current()
        if run is not None and run.engine == ENGINE:
            current_run.end(run)

    def _report_arguments(self, job: Job, run: Run) -> None:
        """Reports before the run if the function is loaded, at its end if RQ had to load it."""
        if not run.is_reported:
            run.is_reported = True
            self._agent.append(originals.payload_of(self._agent, job, originals.BY_WORKER, self._known.identity_of(job.connection)))

    @guard("exception handlers")
    def after_exception(self, _worker: Any, _seen: Any, _result: Any, *args: Any, **kwargs: Any) -> None:
        """Called when RQ has called the exception handlers, after the end of the run. Sentry sends its event there."""
        run = run_of(job_in(args, kwargs))
        if run is not None and run.current_run is not None:
            current_run.report_ids(run.current_run)

    @guard("a success")
    def after_success(self, _worker: Any, _seen: Any, _result: Any, *args: Any, **kwargs: Any) -> None:
        """Reports after RQ has stored the result: one that cannot be stored is a failure, which RQ reports."""
        job = job_in(args, kwargs)
        run = run_of(job)
        if job is not None and run is not None:
            self._succeeded(job, run, job._result)

    @guard("a returned Retry")
    def before_returned_retry(self, _worker: Any, *args: Any, **kwargs: Any) -> None:
        """Reports a task that returned `Retry`, before RQ counts it."""
        job = job_in(args, kwargs)
        retry = next((value for value in (*args, *kwargs.values()) if isinstance(value, Retry)), None)
        run = run_of(job)
        if job is not None and run is not None and retry is not None:
            run.has_ended = True
            current_run.end(run.current_run)
            self._agent.append(outcomes.returned_retry(job, run, self._agent.run, retry))

    @guard("a failure")
    def before_failure(self, worker: Any, *args: Any, **kwargs: Any) -> None:
        """Reports a task that raised, where it ran, or one whose horse was killed, in the worker's main process."""
        job = job_in(args, kwargs)
        if job is None:
            return
        run, error = run_of(job), sys.exc_info()[1]
        if run is not None and error is not None:
            self._failed(job, run, error, is_tried_again=outcomes.will_retry(job))
        elif run is None:
            self._failed_elsewhere(worker, job)

    def _succeeded(self, job: Job, run: Run, value: Any) -> None:
        agent, runtime = self._agent, run.runtime()
        run.has_ended = True
        current_run.end(run.current_run)
        self._report_arguments(job, run)
        shown = "null" if value is None else agent.show(value)
        agent.append(outcomes.succeeded(job, run, agent.run, runtime=runtime, result=shown))

    def _failed(self, job: Job, run: Run, error: BaseException, *, is_tried_again: bool) -> None:
        runtime = run.runtime()
        if not run.has_ended:
            run.has_ended = True
            current_run.end(run.current_run)
            self._report_arguments(job, run)
            self._agent.append(outcomes.raised(job, run, self._agent.run, error, runtime=runtime, is_tried_again=is_tried_again))

    def _failed_elsewhere(self, worker: Any, job: Job) -> None:
        """Reports, in the main process, the end of a task whose horse was killed."""
        agent, running, note = self._agent, self._hands.of(worker), note_of(job)
        by = f"{agent.boot}.{running.pid}" if running is not None and running.pid else agent.run
        is_stopped = getattr(worker, "_stopped_job_id", None) == job.id
        record = outcomes.horse_gone(job, by, is_stopped=is_stopped, killed=note.killed)
        note.killed = ""
        if record is not None:
            agent.append(record)

    # -- a queue without workers (is_async=False): the task runs in its caller -------------------------------------------
    @guard("before running in place")
    def before_inline(self, _queue: Queue, job: Job) -> Run:
        """Reports the start of a job that its caller runs. It was never in a queue."""
        run = Run(job, None, outcomes.EAGER)
        note_of(job).run = run
        self._agent.append(outcomes.begun(job, run, self._agent.run))
        self._begin(job, run)
        self._inline = job
        return run

    @guard("running in place")
    def after_inline(self, _queue: Queue, run: Run | None, result: Any, job: Job) -> None:
        """Reports the success of a job that its caller has run."""
        if run is not None and not run.has_ended:
            self._succeeded(job, run, job._result)

    @guard("ending in place")
    def always_inline(self, _queue: Queue) -> None:
        """Ends the run, and reports the exception that the caller is about to receive."""
        error, job = sys.exc_info()[1], self._inline
        run = run_of(job)
        if run is not None:
            current_run.end(run.current_run)
        if job is not None and run is not None and error is not None:
            self._failed(job, run, error, is_tried_again=False)
