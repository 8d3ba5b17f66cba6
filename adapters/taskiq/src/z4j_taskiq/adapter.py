# SPDX-License-Identifier: Apache-2.0
"""What z4j may know of and ask of one taskiq broker."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, ClassVar

from z4j_agent.adapter import Adapter, Capability, Finding, Original, QueueInfo, RunningTask, TaskInfo, WorkerInfo
from z4j_taskiq import commands, discovery, doctor, queues, reconcile
from z4j_taskiq.capture import Capture


class TaskiqAdapter(Adapter):
    """`capture` holds the hooks; everything else is asked in the agent's thread."""

    engine: ClassVar[str] = "taskiq"
    capabilities: ClassVar[tuple[Capability, ...]] = (
        Capability("retry_task", "any", "exact", note="Sends the kept message again under a new id, linked to this task."),
        Capability(
            "cancel_task",
            "worker",
            "best_effort",
            ("scheduled", "queued", "received", "retrying"),
            "Taken out of a Redis list at once; elsewhere the workers of one spool folder drop it when it comes to them.",
        ),
        Capability(
            "terminate_task", "worker", "best_effort", ("running",), "Needs an async task: a plain function runs in a thread to its end."
        ),
    )

    def __init__(self, broker: Any) -> None:
        self.broker = broker
        self.capture = Capture(broker)

    def engine_version(self) -> str:
        return version("taskiq")

    def install(self) -> None:
        self.capture.connect()

    def uninstall(self) -> None:
        self.capture.disconnect()

    def list_tasks(self) -> list[TaskInfo]:
        return discovery.list_tasks(self.broker)

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
