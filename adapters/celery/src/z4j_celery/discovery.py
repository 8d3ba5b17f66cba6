# SPDX-License-Identifier: Apache-2.0
"""What this app and this worker are: registered tasks, pool, queues, and what runs now."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from celery.worker import state as worker_state

from z4j_agent.adapter import RunningTask, TaskInfo, WorkerInfo
from z4j_agent.hooks import signature_of
from z4j_celery.facts import queue_of, to_us

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


def describe_worker(app: Any, consumer: Any) -> WorkerInfo | None:
    """This process as a worker, with the notes an operator should read."""
    if consumer is None:
        return None
    pool = consumer.pool
    info: dict[str, Any] = _read(lambda: dict(pool.info or {}), {})
    queues = tuple(sorted(queue.name for queue in consumer.task_consumer.queues)) if consumer.task_consumer is not None else ()
    return WorkerInfo(
        name=consumer.hostname,
        pool=type(pool).__module__.rpartition(".")[2],
        concurrency=int(info.get("max-concurrency") or getattr(pool, "limit", 1) or 1),
        queues=queues,
        pids=tuple(info.get("processes") or ()),
        notes=tuple(_notes(app)),
    )


def _notes(app: Any) -> Iterable[str]:
    conf = app.conf
    if "pickle" in (conf.accept_content or ()):
        yield "This worker accepts pickle: whoever can write to the broker can run code here."
    if conf.task_acks_late and not conf.task_reject_on_worker_lost:
        yield "acks_late without reject_on_worker_lost: the task of a killed child is acknowledged and does not run again."
    if conf.task_time_limit is None:
        yield "No time limit: a task that hangs occupies its process for ever."


def list_running() -> list[RunningTask]:
    """What this worker holds: running, and reserved with `started_at` 0."""
    running: list[Any] = _read(lambda: list(worker_state.active_requests), [])
    known: list[Any] = _read(lambda: list(worker_state.requests.values()), [])
    active = {request.id for request in running}
    held = []
    for request in known:
        info = request.delivery_info or {}
        held.append(
            RunningTask(
                task_id=request.id,
                attempt=int((request.request_dict or {}).get("retries") or 0),
                name=request.name,
                queue=queue_of(info.get("exchange"), info.get("routing_key")),
                started_at=(to_us(request.time_start) or 0) if request.id in active else 0,
                pid=int(request.worker_pid or 0),
            )
        )
    return held


def _read(read: Callable[[], T], otherwise: T) -> T:
    """Main changes these sets while we look; then the next look is as good."""
    for _ in range(5):
        try:
            return read()
        except RuntimeError:
            continue
    return otherwise
