# SPDX-License-Identifier: Apache-2.0
"""What z4j may know of and ask of RQ in this process."""

from __future__ import annotations

from typing import Any, ClassVar

from rq.version import VERSION

from z4j_agent.adapter import Adapter, Capability, Finding, Original, QueueInfo, RunningTask, TaskInfo, WorkerInfo
from z4j_rq import commands, discovery, doctor, queues, reconcile
from z4j_rq.capture import Capture

ABLE = (
    Capability("retry_task", "any", "exact", note="Enqueues the kept job again under a new id, linked to this task."),
    Capability("cancel_task", "any", "exact", ("scheduled", "queued", "retrying"), "Takes the job out of its queue or registry at once."),
    Capability("terminate_task", "worker", "best_effort", ("running",), "Needs a worker that forks: the work horse is killed."),
)


class RqAdapter(Adapter):
    """`capture` holds the wrappers; everything else is asked in the agent's thread."""

    engine: ClassVar[str] = "rq"
    capabilities: ClassVar[tuple[Capability, ...]] = ABLE

    def __init__(self) -> None:
        self.capture = Capture(self._is_ready)

    def _is_ready(self) -> None:
        """Called before the agent connects: a worker without horses cannot stop a task, so it does not say it could."""
        if not commands.can_terminate(self.capture.worker):
            type(self).capabilities = tuple(able for able in ABLE if able.action != "terminate_task")

    def engine_version(self) -> str:
        return str(VERSION)

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
