# SPDX-License-Identifier: Apache-2.0
"""Hooks of enqueueing: in producers, in horses that enqueue, and in the process of a worker's scheduler."""

from __future__ import annotations

from typing import Any

from rq.job import Job, JobStatus
from rq.queue import Queue

from z4j_agent import records
from z4j_agent.agent import Agent
from z4j_agent.guard import guard
from z4j_agent.hooks import now
from z4j_rq import originals
from z4j_rq.facts import ENGINE, NEW, attempt_of, job_in, mark_sent, name_of, sent_meta, to_us
from z4j_rq.patches import Patches


class Sending:
    """A job is marked before RQ writes it, and told after: what raises was not sent.

    `queues` are those this process has enqueued to, by name; `names` the tasks that were seen here, and their queue.
    """

    def __init__(self, agent: Agent, queues: dict[str, Queue], names: dict[str, str]) -> None:
        self._agent = agent
        self._queues = queues
        self._names = names

    def connect(self, patches: Patches) -> None:
        patches.wrap(Queue, "_enqueue_job", before=self.before_enqueue, after=self.after_enqueue)
        patches.wrap(Queue, "_enqueue_rate_limited_job", before=self.before_enqueue, after=self.after_enqueue)
        patches.wrap(Queue, "enqueue_many", after=self.after_many)
        patches.wrap(Queue, "schedule_job", before=self.before_enqueue, after=self.after_schedule)
        patches.wrap(Queue, "setup_dependencies", before=self.before_enqueue, after=self.after_dependencies)

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
        self._queues[queue.name] = queue
        self._names[name] = queue.name
        agent.append(records.enqueued(ENGINE, job.id, attempt_of(job), at, agent.run, name, queue.name, eta=eta, meta=sent_meta(job)))
        if job.__dict__.pop(NEW, False):
            agent.append(originals.payload_of(agent, job, originals.BY_PRODUCER))
        agent.connect()
