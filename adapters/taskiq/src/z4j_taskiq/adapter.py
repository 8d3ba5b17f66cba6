# SPDX-License-Identifier: Apache-2.0
"""What z4j may know of and ask of the taskiq brokers of one process."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, ClassVar

from z4j_agent.adapter import Adapter, Capability, Finding, Original, QueueInfo, RunningTask, TaskInfo, WorkerInfo
from z4j_taskiq import commands, discovery, doctor, queues, reconcile
from z4j_taskiq.capture import Capture


class TaskiqAdapter(Adapter):
    """A capture holds the hooks of one broker; everything else is asked in the agent's thread."""

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
        self.captures = [Capture(broker)]
        self.is_installed = False

    def watch(self, broker: Any) -> None:
        """Another broker of this process. Nothing happens when it is watched already."""
        if all(capture.broker is not broker for capture in self.captures):
            capture = Capture(broker)
            capture.connect()
            self.captures.append(capture)

    def unwatch(self, broker: Any) -> None:
        for capture in [capture for capture in self.captures if capture.broker is broker]:
            capture.disconnect()
            self.captures.remove(capture)

    def engine_version(self) -> str:
        return version("taskiq")

    def install(self) -> None:
        self.is_installed = True
        for capture in self.captures:
            capture.connect()

    def uninstall(self) -> None:
        self.is_installed = False
        for capture in self.captures:
            capture.disconnect()

    def list_tasks(self) -> list[TaskInfo]:
        found = {task.name: task for capture in self.captures for task in discovery.list_tasks(capture.broker)}
        return [found[name] for name in sorted(found)]

    def list_queues(self) -> list[QueueInfo]:
        found = {queue.name: queue for capture in self.captures for queue in queues.list_queues(capture)}
        return [found[name] for name in sorted(found)]

    def worker(self) -> WorkerInfo | None:
        return discovery.describe_worker(self.captures, self.findings())

    def list_running(self) -> list[RunningTask]:
        return [run for capture in self.captures for run in discovery.list_running(capture)]

    def findings(self) -> list[Finding]:
        return [found for capture in self.captures for found in doctor.findings(capture)]

    def retry_task(self, original: Original, *, new_id: str) -> dict[str, Any]:
        return commands.retry_task(commands.sender_of(self.captures, original), original, new_id)

    def cancel_task(self, task_id: str) -> dict[str, Any]:
        return commands.cancel_task(self.captures, task_id)

    def terminate_task(self, task_id: str) -> dict[str, Any]:
        return commands.terminate_task(self.captures, task_id)

    def lookup_task(self, task_id: str) -> dict[str, Any]:
        return reconcile.lookup_task(self.captures, task_id)
