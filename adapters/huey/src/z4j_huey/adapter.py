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
            "cancel_task",
            "any",
            "best_effort",
            ("scheduled", "queued", "retrying"),
            "Huey drops it when a worker comes to it, which may be as late as its eta.",
        ),
        Capability(
            "terminate_task",
            "worker",
            "best_effort",
            ("running",),
            "A process is interrupted; in a thread or greenlet an exception is raised, which a system call may hold up.",
        ),
    )

    def __init__(self, huey: Any) -> None:
        self.huey = huey
        self.capture = Capture(huey)

    def engine_version(self) -> str:
        return str(engine.__version__)

    def install(self) -> None:
        self.capture.connect()

    def uninstall(self) -> None:
        self.capture.disconnect()

    def list_tasks(self) -> list[TaskInfo]:
        return discovery.list_tasks(self.capture)

    def list_queues(self) -> list[QueueInfo]:
        return queues.list_queues(self.capture)

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
        return reconcile.lookup_task(self.capture, task_id)
