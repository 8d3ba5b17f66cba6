# SPDX-License-Identifier: Apache-2.0
"""What z4j may know of and ask of one Huey object."""

from __future__ import annotations

from typing import Any, ClassVar

import huey as engine

from z4j_agent.adapter import Adapter, Capability, Finding, Original, QueueInfo, RunningTask, TaskInfo, WorkerInfo
from z4j_huey import commands, discovery, doctor, queues, reconcile
from z4j_huey.capture import Capture


class HueyAdapter(Adapter):
    """`capture` holds the hooks; everything else is asked in the agent's thread."""

    engine: ClassVar[str] = "huey"
    capabilities: ClassVar[tuple[Capability, ...]] = (
        Capability("retry_task", "any", "exact", note="Enqueues the kept task again under a new id, linked to this task."),
        Capability(
            "cancel_task", "any", "exact", ("scheduled", "queued", "retrying"), "Huey drops it when its turn comes, and only then says so."
        ),
        Capability(
            "terminate_task", "worker", "best_effort", ("running",), "Threads and processes only; the worker goes on with its next task."
        ),
    )

    def __init__(self, huey: Any) -> None:
        self.huey = huey
        self.capture = Capture(huey, self._is_ready)

    def _is_ready(self) -> None:
        """Called before the agent connects: what this consumer's workers cannot do is not declared."""
        if not commands.can_terminate(self.capture.consumer):
            type(self).capabilities = tuple(able for able in self.capabilities if able.action != "terminate_task")

    def engine_version(self) -> str:
        return str(engine.__version__)

    def install(self) -> None:
        self.capture.connect()

    def uninstall(self) -> None:
        self.capture.disconnect()

    def list_tasks(self) -> list[TaskInfo]:
        return discovery.list_tasks(self.huey)

    def list_queues(self) -> list[QueueInfo]:
        return queues.list_queues(self.huey)

    def worker(self) -> WorkerInfo | None:
        return discovery.describe_worker(self.capture, self.findings())

    def list_running(self) -> list[RunningTask]:
        return discovery.list_running(self.capture)

    def findings(self) -> list[Finding]:
        return doctor.findings(self.capture)

    def retry_task(self, original: Original, *, new_id: str) -> dict[str, Any]:
        return commands.retry_task(self.capture, original, new_id)

    def cancel_task(self, task_id: str) -> dict[str, Any]:
        return commands.cancel_task(self.capture, task_id)

    def terminate_task(self, task_id: str) -> dict[str, Any]:
        return commands.terminate_task(self.capture, task_id)

    def lookup_task(self, task_id: str) -> dict[str, Any]:
        return reconcile.lookup_task(self.huey, task_id)
