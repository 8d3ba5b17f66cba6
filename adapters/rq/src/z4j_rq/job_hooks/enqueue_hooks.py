# SPDX-License-Identifier: Apache-2.0
"""Hooks of enqueueing: in producers, in horses that enqueue, and in the process of a worker's scheduler."""

from __future__ import annotations

from typing import Any

from rq.job import Job, JobStatus
from rq.queue import Queue

from z4j_agent.agent import Agent
from z4j_agent.capture.guard import guard
from z4j_agent.capture.hooks import now
from z4j_agent.wire import records
from z4j_rq import originals
from z4j_rq.dependencies import names_of
from z4j_rq.job_hooks.job_marks import attempt_of, begin_sending, end_sending, is_asked, mark_of, note_of
from z4j_rq.job_hooks.patches import Patches
from z4j_rq.known_queues import Known
from z4j_rq.messages import ENGINE, job_in, name_of, sent_meta, to_us


class Sending:
    """A job is marked before RQ writes it, and reported after: if that raises, the job was not sent."""

    def __init__(self, agent: Agent, known: Known) -> None:
        self._agent = agent
        self._known = known
        key = agent.settings.seal_key
        self._app = key.key_id if key is not None else ""

    def connect(self, patches: Patches) -> None:
        """Wraps the methods of RQ's queues that write a job."""
        always = self.always_enqueued
        patches.look(Queue, "_enqueue_job", before=self.before_enqueue, after=self.after_enqueue, always=always)
        patches.look(Queue, "_enqueue_rate_limited_job", before=self.before_enqueue, after=self.after_enqueue, always=always)
        patches.look(Queue, "enqueue_many", after=self.after_many)
        patches.look(Queue, "schedule_job", before=self.before_enqueue, after=self.after_schedule, always=always)
        patches.look(Queue, "setup_dependencies", before=self.before_enqueue, after=self.after_dependencies, always=always)

    @guard("before enqueueing")
    def before_enqueue(self, queue: Queue, *args: Any, **kwargs: Any) -> int:
        """Marks a job before RQ writes it. Returns the time in microseconds UTC, which the report has as its own."""
        job = job_in(args, kwargs)
        if job is not None:
            begin_sending(job, self._app)
        return now()

    @guard("after enqueueing")
    def always_enqueued(self, _queue: Queue) -> None:
        """Called when RQ has written the job or has raised: a job that this thread writes next is not marked by this call."""
        end_sending()

    @guard("enqueueing")
    def after_enqueue(self, queue: Queue, seen: int | None, _result: Any, *args: Any, **kwargs: Any) -> None:
        """Reports a job that is in its queue."""
        job = job_in(args, kwargs)
        if job is not None:
            self._sent(queue, job, seen or now(), None, depends_on=names_of(job))  # which may have ended already

    @guard("scheduling")
    def after_schedule(self, queue: Queue, seen: int | None, _result: Any, *args: Any, **kwargs: Any) -> None:
        """Reports a job that RQ's scheduler enqueues later. RQ gives its time as a `datetime`."""
        job = job_in(args, kwargs)
        when = kwargs.get("datetime", args[1] if len(args) > 1 else None)
        if job is not None:
            self._sent(queue, job, seen or now(), to_us(when), depends_on=names_of(job))

    @guard("waiting for another job")
    def after_dependencies(self, queue: Queue, seen: int | None, job: Job, *_args: Any, **_kwargs: Any) -> None:
        """A job that depends on others is reported when it is sent; later, the process that ends the last of them enqueues it."""
        if job._status == JobStatus.DEFERRED:
            self._sent(queue, job, seen or now(), None, reason="blocked", depends_on=names_of(job))

    @guard("enqueueing many")
    def after_many(self, queue: Queue, _seen: Any, jobs: list[Job], *_args: Any, **_kwargs: Any) -> None:
        """Those of many jobs that depend on others are written without `setup_dependencies`; all others were already reported."""
        for job in jobs:
            if job._status == JobStatus.DEFERRED:
                begin_sending(job, self._app)
                end_sending()
                self._sent(queue, job, now(), None, reason="blocked", depends_on=names_of(job))

    def _sent(self, queue: Queue, job: Job, at: int, eta: int | None, **more: Any) -> None:
        agent, name, note = self._agent, name_of(job), note_of(job)
        if not is_asked(job):
            self._known.meet_queue(queue)
            self._known.meet_name(name, queue.name)
        meta = sent_meta(job, mark_of(job).get("of"), **more)
        record = records.enqueued(ENGINE, job.id, attempt_of(job), at, agent.run, name, queue.name, eta=eta, meta=meta)
        if note.is_new:
            note.is_new = False
            broker = self._known.identity_of(queue.connection)
            agent.append_with(record, lambda: originals.payload_of(agent, job, originals.BY_PRODUCER, broker))
        else:
            agent.append(record)
        agent.connect()
