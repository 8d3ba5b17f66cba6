# SPDX-License-Identifier: Apache-2.0
"""Discovery of this process: registered tasks, pool, queues, and running tasks."""

from __future__ import annotations

import os
from typing import Any

from celery.worker import state as worker_state

from z4j_agent.capture.hooks import signature_of
from z4j_agent.contract.adapter import RunningTask, TaskInfo, WorkerInfo
from z4j_celery.execution.worker_settings import settings_of
from z4j_celery.messages import read_steadily, to_us
from z4j_celery.state import CeleryPart


class Discovery(CeleryPart):
    """Lists tasks, the worker and running tasks of this process."""

    def list_tasks(self) -> list[TaskInfo]:
        """Returns every registered task except Celery's own, with the signature for callers."""
        tasks: dict[str, TaskInfo] = {}
        for app in self.serving():
            for name, task in sorted(app.tasks.items()):
                if not name.startswith("celery.") and name not in tasks:
                    tasks[name] = TaskInfo(name, *signature_of(task.run), str(getattr(task, "queue", None) or ""))
        return list(tasks.values())

    def worker(self) -> WorkerInfo | None:
        """This process as a worker, with the doctor's warnings as notes."""
        consumer = self.first.consumer
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
            notes=tuple(f"{each.what} {each.remedy}".strip() for each in self.findings() if each.level != "ok"),
            options=settings_of(consumer),
        )

    def list_running(self) -> list[RunningTask]:
        """Returns the tasks of this worker: running, and reserved with `started_at` 0.

        Celery's state lists no received tasks if a task has its own strategy (celery-batches).
        """
        first = self.first
        if first.consumer is None:
            return []
        is_green = first.consumer.pool.is_green  # its "process ids" are addresses of greenlets
        running: list[Any] = read_steadily(lambda: list(worker_state.active_requests), [])
        known: list[Any] = read_steadily(lambda: list(worker_state.requests.values()), [])
        active, listed = {request.id for request in running}, {request.id for request in known}
        received = (request for request in first.received_requests() if request.id not in listed)
        known += [request for request in received if not isinstance(request.task.Strategy, str)]
        return [
            RunningTask(
                task_id=request.id,
                attempt=int((request.request_dict or {}).get("retries") or 0),
                name=request.name,
                queue=first.queue_in(request.delivery_info),
                started_at=(to_us(request.time_start) or 0) if request.id in active else 0,
                pid=(os.getpid() if is_green else int(request.worker_pid)) if request.worker_pid else 0,
            )
            for request in known
        ]
