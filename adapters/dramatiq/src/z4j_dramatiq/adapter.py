# SPDX-License-Identifier: Apache-2.0
"""What z4j may know of and ask of one Dramatiq broker."""

from __future__ import annotations

from typing import Any, ClassVar

import dramatiq

from z4j_agent.adapter import Adapter, Capability, Finding, Original, QueueInfo, RunningTask, TaskInfo, WorkerInfo
from z4j_dramatiq import commands, discovery, doctor, queues, reconcile
from z4j_dramatiq.capture import Capture


class DramatiqAdapter(Adapter):
    """`capture` holds the middleware; everything else is asked in the agent's thread."""

    engine: ClassVar[str] = "dramatiq"
    capabilities: ClassVar[tuple[Capability, ...]] = (
        Capability("retry_task", "any", "exact", note="Sends the kept message again under a new id, linked to this task."),
        Capability(
            "cancel_task",
            "worker",
            "best_effort",
            ("scheduled", "queued", "received", "retrying"),
            "Taken out of Redis where no worker has it yet; else the workers of one host skip it when they come to it.",
        ),
        Capability(
            "terminate_task",
            "worker",
            "best_effort",
            ("running",),
            "An exception is raised in the task's thread; what waits in a system call ends when that returns.",
        ),
    )

    def __init__(self, broker: Any) -> None:
        self.broker = broker
        self.capture = Capture(broker, self._is_ready)

    def _is_ready(self) -> None:
        """Called before the agent connects: what this process cannot do is not declared."""
        if not commands.can_reach_broker():
            type(self).capabilities = ()
        elif not commands.can_terminate():
            type(self).capabilities = tuple(able for able in self.capabilities if able.action != "terminate_task")

    def engine_version(self) -> str:
        return str(dramatiq.__version__)

    def install(self) -> None:
        self._is_ready()
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
        return commands.retry_task(self.broker, original, new_id)

    def cancel_task(self, task_id: str) -> dict[str, Any]:
        return commands.cancel_task(self.capture, task_id)

    def terminate_task(self, task_id: str) -> dict[str, Any]:
        return commands.terminate_task(self.capture, task_id)

    def lookup_task(self, task_id: str) -> dict[str, Any]:
        return reconcile.lookup_task(self.capture, task_id)
