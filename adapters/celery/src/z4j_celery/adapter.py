# SPDX-License-Identifier: Apache-2.0
"""What z4j may know of and ask of one Celery app."""

from __future__ import annotations

from typing import Any, ClassVar

import celery

from z4j_agent.adapter import Adapter, Capability, Original, QueueInfo, RunningTask, TaskInfo, WorkerInfo
from z4j_celery import commands, discovery, queues, reconcile
from z4j_celery.capture import Capture


class CeleryAdapter(Adapter):
    """`capture` holds the hooks; everything else is asked in the agent's thread."""

    engine: ClassVar[str] = "celery"
    capabilities: ClassVar[tuple[Capability, ...]] = (
        Capability("retry_task", "any", "exact", note="Sends the kept message again under a new id, linked to this task."),
        Capability(
            "cancel_task",
            "worker",
            "best_effort",
            ("scheduled", "queued", "received", "retrying"),
            "Celery keeps cancellations in memory; z4j repeats them to every worker that connects.",
        ),
        Capability("terminate_task", "worker", "best_effort", ("running",), "Needs the prefork pool: the child process is ended."),
    )

    def __init__(self, app: Any) -> None:
        self.app = app
        self.capture = Capture(app, self._is_ready)

    def _is_ready(self, consumer: Any) -> None:
        """Called before the agent connects: what this worker's pool cannot do is not declared."""
        if not commands.can_terminate(consumer.pool):
            type(self).capabilities = tuple(able for able in self.capabilities if able.action != "terminate_task")

    def engine_version(self) -> str:
        return str(celery.__version__)

    def install(self) -> None:
        self.capture.connect()

    def uninstall(self) -> None:
        self.capture.disconnect()

    def list_tasks(self) -> list[TaskInfo]:
        return discovery.list_tasks(self.app)

    def list_queues(self) -> list[QueueInfo]:
        return queues.list_queues(self.app, self.capture.consumer)

    def worker(self) -> WorkerInfo | None:
        return discovery.describe_worker(self.app, self.capture.consumer)

    def list_running(self) -> list[RunningTask]:
        return discovery.list_running() if self.capture.consumer is not None else []

    def retry_task(self, original: Original, *, new_id: str) -> dict[str, Any]:
        return commands.retry_task(self.app, original, new_id)

    def cancel_task(self, task_id: str) -> dict[str, Any]:
        return commands.cancel_task(self.app, self.capture.consumer, task_id)

    def terminate_task(self, task_id: str) -> dict[str, Any]:
        return commands.terminate_task(self.app, self.capture.consumer, task_id)

    def lookup_task(self, task_id: str) -> dict[str, Any]:
        return reconcile.lookup_task(self.app, task_id)
