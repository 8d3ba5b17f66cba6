# SPDX-License-Identifier: Apache-2.0
"""Depths of queues, and the queue of a job. Read with commands that change nothing.

A queue's name alone is ambiguous if a process uses several Redis databases: every look-up is in one broker, or in all if none is named.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from redis.exceptions import RedisError
from rq.job import Job
from rq.queue import Queue
from rq.worker import Worker

import z4j_agent
from z4j_agent.contract.adapter import QueueInfo, Refused, SeveralBrokers, Unsupported
from z4j_agent.settings import Settings
from z4j_rq.job_hooks.job_marks import mark_of
from z4j_rq.messages import ENGINE, to_us
from z4j_rq.state import RqState

UNKNOWN_JOB = "RQ has no such task in any Redis of this process. No changes were made."
FOREIGN = "the task is in a queue that this application does not use. No changes were made."


def _keys(settings: Settings) -> set[str]:
    return {key.key_id for key in (settings.seal_key, *settings.old_keys) if key is not None}


def like(queue: Queue, name: str) -> Queue:
    """Returns a queue with another name, of the same class and with the same serialiser."""
    return type(queue)(name, connection=queue.connection, job_class=queue.job_class, serializer=queue.serializer)


def fingerprint_of(queue: Queue) -> str:
    """Returns the fingerprint of a Redis, with the database and prefix: the same through every address. "" if it may not be read."""
    try:
        run_id = str(queue.connection.info("server").get("run_id") or "")
    except RedisError:
        return ""
    return (
        f"{run_id}/{queue.connection.connection_pool.connection_kwargs.get('db') or 0}#{queue.redis_queue_namespace_prefix}"
        if run_id
        else ""
    )


def _info(queue: Queue, broker: str) -> QueueInfo:
    """The state of a queue. Its registries are counted without RQ's cleaning, which would fail other workers' jobs."""
    delayed = queue.connection.zcard(queue.scheduled_job_registry.key)
    dead = queue.connection.zcard(queue.failed_job_registry.key)
    consumers = int(Worker.count(queue=queue))
    return QueueInfo(queue.name, int(queue.count), consumers, _oldest_at(queue), int(delayed), int(dead), broker)


def _oldest_at(queue: Queue) -> int | None:
    """When the oldest job was enqueued, in microseconds UTC; None for an empty queue and if the job's hash is gone."""
    ids: list[str] = queue.get_job_ids(0, 1)
    value: Any = queue.connection.hget(queue.job_class.key_for(ids[0]) if ids else "", "enqueued_at") if ids else None
    if not value:
        return None
    try:
        return to_us(datetime.fromisoformat(value.decode().replace("Z", "+00:00")))
    except ValueError:
        return None


class RqPart(SeveralBrokers):
    """Base class of the adapter's parts: the queues of this process, and the jobs in them."""

    engine: ClassVar[str] = ENGINE
    state: RqState

    def list_queues(self) -> list[QueueInfo]:
        """Returns the length of each queue, the time of its oldest job, and the number of its workers."""
        known = self.state.known
        queues = known.queues()
        for (broker, _), queue in queues.items():
            if broker not in known.fingerprints:
                known.fingerprints[broker] = fingerprint_of(queue)
        return [_info(queue, broker) for (broker, _), queue in queues.items()]

    def queue_named(self, name: str, broker: str = "") -> Queue:
        """Returns a queue of this name with the connection, serialiser and classes that this process uses. Raises Unsupported, Refused."""
        known = self.state.known.queues(broker or self.only)
        if not known:
            raise Unsupported("this process has used no queue yet, so it has no connection to Redis")
        named = [queue for key, queue in known.items() if key[1] == name]
        if len({key[0] for key in known if key[1] == name}) > 1:
            raise Refused(
                f"this process uses several Redis databases with a queue {name[:80]}, and the command names none. No changes were made.",
                check="broker.unknown",
            )
        return named[0] if named else like(next(iter(known.values())), name)

    def find_job(self, task_id: str) -> Job | None:
        """Returns the job in Redis, if it belongs to this application; None if no Redis of this process has it. Raises Refused."""
        jobs: list[Job] = []
        seen: set[str] = set()
        for (broker, _), queue in self.state.known.queues(self.only).items():
            if broker not in seen and queue.job_class.exists(task_id, connection=queue.connection):
                jobs.append(queue.job_class.fetch(task_id, connection=queue.connection, serializer=queue.serializer))
            seen.add(broker)
        ours = [job for job in jobs if self._is_ours(job)]
        if len(ours) > 1:
            raise Refused("several Redis databases of this process have a task with this ID. No changes were made.", check="broker.unknown")
        if jobs and not ours:
            raise Refused(FOREIGN, check="queue.unknown")
        return ours[0] if ours else None

    def _is_ours(self, job: Job) -> bool:
        """Whether the job belongs to this application: its queue is known, or an agent of the application has marked it. Another
        application may share the Redis."""
        known, agent = self.state.known, z4j_agent.current()
        if known.knows_queue(job.origin or "", known.identity_of(job.connection)):
            return True
        return agent is not None and mark_of(job).get("app") in _keys(agent.settings)

    def queue_of(self, job: Job) -> Queue:
        """Returns the queue of a job."""
        return self.queue_named(job.origin or "", self.state.known.identity_of(job.connection))
