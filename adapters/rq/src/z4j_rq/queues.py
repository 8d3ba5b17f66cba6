# SPDX-License-Identifier: Apache-2.0
"""Where this process reaches Redis, and how much waits there. Everything is read with commands that change nothing."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from rq.job import Job
from rq.queue import Queue
from rq.worker import Worker

from z4j_agent.adapter import QueueInfo, Unsupported
from z4j_rq.facts import to_us

if TYPE_CHECKING:
    from z4j_rq.capture import Capture


def known_queues(capture: Capture) -> list[Queue]:
    """The queues this worker listens to, then those this process has enqueued to."""
    worker = capture.worker
    mine: dict[str, Queue] = {queue.name: queue for queue in (worker.queues if worker is not None else ())}
    return list((mine | {name: queue for name, queue in list(capture.queues.items()) if name not in mine}).values())


def queue_named(capture: Capture, name: str) -> Queue:
    """A queue of this name on the connection, and with the serialiser and classes, that this process uses. Raises Unsupported."""
    known = known_queues(capture)
    if not known:
        raise Unsupported("this process has met no queue yet, so it does not know where Redis is")
    found = next((queue for queue in known if queue.name == name), None)
    if found is not None:
        return found
    first = known[0]
    return type(first)(name, connection=first.connection, job_class=first.job_class, serializer=first.serializer)


def list_queues(capture: Capture) -> list[QueueInfo]:
    """Each queue's length, its oldest job's age, and the workers that listen."""
    return [_info(queue) for queue in known_queues(capture)]


def _info(queue: Queue) -> QueueInfo:
    """The registries are counted without their own cleaning, which would fail other workers' jobs."""
    delayed = queue.connection.zcard(queue.scheduled_job_registry.key)
    dead = queue.connection.zcard(queue.failed_job_registry.key)
    return QueueInfo(queue.name, int(queue.count), int(Worker.count(queue=queue)), _oldest_at(queue), int(delayed), int(dead))


def _oldest_at(queue: Queue) -> int | None:
    """Microseconds UTC; None of an empty queue and where the oldest job's hash is gone."""
    ids: list[str] = queue.get_job_ids(0, 1)
    held: Any = queue.connection.hget(queue.job_class.key_for(ids[0]) if ids else "", "enqueued_at") if ids else None
    if not held:
        return None
    try:
        return to_us(datetime.fromisoformat(held.decode().replace("Z", "+00:00")))
    except ValueError:
        return None


def find_job(capture: Capture, task_id: str) -> Job | None:
    """The job as Redis has it, on the first connection that knows it; None when none does."""
    seen: set[int] = set()
    for queue in known_queues(capture):
        if id(queue.connection) in seen:
            continue
        seen.add(id(queue.connection))
        if queue.job_class.exists(task_id, connection=queue.connection):
            found: Job = queue.job_class.fetch(task_id, connection=queue.connection, serializer=queue.serializer)
            return found
    return None
