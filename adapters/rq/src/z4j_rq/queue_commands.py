# SPDX-License-Identifier: Apache-2.0
"""Waiting jobs of a queue: listed in order, and removed. Used in the agent's thread."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from rq.exceptions import DeserializationError
from rq.job import Job
from rq.queue import Queue

import z4j_agent
from z4j_agent.agent import Agent
from z4j_agent.commands.queue_actions import Entry, purge
from z4j_agent.contract.adapter import WaitingTask
from z4j_rq import originals
from z4j_rq.job_hooks.job_marks import attempt_of
from z4j_rq.messages import ENGINE, name_of, to_us
from z4j_rq.queues import RqPart

AT_ONCE = 100


def _first(queue: Queue, section: str, limit: int) -> Iterator[tuple[str, Job | None, int | None]]:
    """(ID, job or None if its hash is gone, due time) of the first jobs of a section."""
    due: dict[str, int] = {}
    if section == "waiting":
        ids = [str(id) for id in queue.get_job_ids(0, limit)]
    else:
        registry = queue.scheduled_job_registry if section == "delayed" else queue.failed_job_registry
        scored = queue.connection.zrange(registry.key, 0, limit - 1, withscores=True)
        due = {_text(id): int(score) * 1_000_000 for id, score in scored}
        ids = list(due)
    jobs = queue.job_class.fetch_many(ids, connection=queue.connection, serializer=queue.serializer) if ids else []
    for id, job in zip(ids, jobs, strict=True):
        yield id, job, due.get(id) if section == "delayed" else None


def _shown(agent: Agent | None, id: str, job: Job | None, due: int | None) -> WaitingTask:
    if job is None or agent is None:
        return WaitingTask(id, "")
    try:
        args = originals.show_job(agent, job)[0]
    except DeserializationError:
        args = originals.show_unread(job)
    return WaitingTask(id, name_of(job), args, to_us(job.enqueued_at), due)


def _entries(agent: Agent, broker: str, queue: Queue, section: str) -> Iterator[Entry]:
    left = int(queue.connection.llen(queue.key) if section == "waiting" else queue.connection.zcard(_registry(queue, section)))
    while left > 0:
        jobs = list(_first(queue, section, min(AT_ONCE, left)))
        if not jobs:
            return
        left -= len(jobs)
        for id, job, _ in jobs:
            taking = partial(_take, queue, section, id, job)
            if job is None:
                yield Entry("", 0, "", taking)
            else:
                payload = partial(originals.payload_of, agent, job, originals.BY_WORKER, broker)
                yield Entry(id, attempt_of(job), name_of(job), taking, payload)


def _take(queue: Queue, section: str, id: str, job: Job | None) -> bool:
    connection = queue.connection
    if section == "waiting":
        is_ours = bool(connection.lrem(queue.key, 1, id))
    else:
        is_ours = bool(connection.zrem(_registry(queue, section), id))
    if is_ours and job is not None:
        connection.delete(job.key)
    return is_ours


def _registry(queue: Queue, section: str) -> str:
    return str((queue.scheduled_job_registry if section == "delayed" else queue.failed_job_registry).key)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


class QueueCommands(RqPart):
    """Commands for queues."""

    def peek_queue(self, queue: str, section: str, limit: int) -> list[WaitingTask]:
        """Returns the first jobs of a section in the order in which they would run. Changes nothing."""
        named, agent = self.queue_named(queue), z4j_agent.current()
        return [_shown(agent, id, job, due) for id, job, due in _first(named, section, limit)]

    def purge_queue(self, queue: str, section: str) -> dict[str, Any]:
        """Removes all jobs from a section. The results of ZREM and LREM show whether a worker has taken a job, which then stays with the
        worker. Jobs that are added meanwhile are not removed. Raises Refused."""
        named, agent = self.queue_named(queue), z4j_agent.current()
        assert agent is not None  # the command came through it
        broker = self.state.known.identity_of(named.connection)
        return purge(agent, ENGINE, named.name, _entries(agent, broker, named, section), is_dead=section == "dead")
