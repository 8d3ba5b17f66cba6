# SPDX-License-Identifier: Apache-2.0
"""What this app and this worker are: registered tasks, pool, queues, and what runs now."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from celery.worker import state as worker_state

from z4j_agent.adapter import Finding, RunningTask, TaskInfo, WorkerInfo
from z4j_agent.hooks import signature_of
from z4j_celery.facts import to_us

T = TypeVar("T")


def list_tasks(app: Any) -> list[TaskInfo]:
    """Every registered task but Celery's own, with the signature a caller sees."""
    found = []
    for name, task in sorted(app.tasks.items()):
        if name.startswith("celery."):
            continue
        signature, doc = signature_of(task.run)
        found.append(TaskInfo(name, signature, doc, str(getattr(task, "queue", None) or "")))
    return found


def describe_worker(consumer: Any, findings: Iterable[Finding]) -> WorkerInfo | None:
    """This process as a worker, with the notes an operator should read: what the doctor found amiss."""
    if consumer is None:
        return None
    pool = consumer.pool
    info: dict[str, Any] = read_steadily(lambda: dict(pool.info or {}), {})
    queues = tuple(sorted(queue.name for queue in consumer.task_consumer.queues)) if consumer.task_consumer is not None else ()
    return WorkerInfo(
        name=consumer.hostname,
        pool=type(pool).__module__.rpartition(".")[2],
        concurrency=int(info.get("max-concurrency") or getattr(pool, "limit", 1) or 1),
        queues=queues,
        pids=tuple(info.get("processes") or ()),
        notes=tuple(f"{each.what} {each.remedy}".strip() for each in findings if each.level != "ok"),
    )


def list_running(consumer: Any, queue_in: Callable[[Any], str], received: Iterable[Any] = ()) -> list[RunningTask]:
    """What this worker holds: running, and reserved with `started_at` 0. `received` are the requests it was given and may still have: where
    a task brings its own strategy (celery-batches), Celery's state lists none of them."""
    is_green = consumer.pool.is_green  # its "process ids" are addresses of greenlets
    running: list[Any] = read_steadily(lambda: list(worker_state.active_requests), [])
    known: list[Any] = read_steadily(lambda: list(worker_state.requests.values()), [])
    active, listed = {request.id for request in running}, {request.id for request in known}
    known += [request for request in received if request.id not in listed and not isinstance(request.task.Strategy, str)]
    held = []
    for request in known:
        held.append(
            RunningTask(
                task_id=request.id,
                attempt=int((request.request_dict or {}).get("retries") or 0),
                name=request.name,
                queue=queue_in(request.delivery_info),
                started_at=(to_us(request.time_start) or 0) if request.id in active else 0,
                pid=(os.getpid() if is_green else int(request.worker_pid)) if request.worker_pid else 0,
            )
        )
    return held


def read_steadily(read: Callable[[], T], otherwise: T) -> T:
    """Main changes these sets while we look; then the next look is as good."""
    for _ in range(5):
        try:
            return read()
        except RuntimeError:
            continue
    return otherwise
