# SPDX-License-Identifier: Apache-2.0
"""What z4j may know of and ask of one Huey object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import huey as engine

from z4j_agent.adapter import Adapter, Capability, Finding, Original, QueueInfo, Refused, RunningTask, TaskInfo, WorkerInfo
from z4j_huey import commands, discovery, doctor, queues, reconcile
from z4j_huey.capture import Capture


class HueyAdapter(Adapter):
    """One `Capture` per Huey object that is watched; everything else is asked in the agent's thread."""

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
        self.captures = [Capture(huey)]
        self.is_installed = False

    # -- the hooks -----------------------------------------------------------------------------------------------------
    def install(self) -> None:
        self.is_installed = True
        for capture in self.captures:
            capture.connect()

    def watch(self, huey: Any) -> None:
        """A further Huey object of this process."""
        capture = Capture(huey)
        capture.connect()
        self.captures.append(capture)

    def unwatch(self, huey: Any) -> None:
        for capture in [capture for capture in self.captures if capture.huey is huey]:
            capture.disconnect()
            self.captures.remove(capture)

    def uninstall(self) -> None:
        self.is_installed = False
        for capture in self.captures:
            capture.disconnect()

    # -- what is there -------------------------------------------------------------------------------------------------
    def engine_version(self) -> str:
        return str(engine.__version__)

    def list_tasks(self) -> list[TaskInfo]:
        return [task for capture in self._serving() for task in discovery.list_tasks(capture)]

    def list_queues(self) -> list[QueueInfo]:
        return [queue for capture in self._serving() for queue in queues.list_queues(capture)]

    def _serving(self) -> list[Capture]:
        """A worker speaks of the one object whose tasks it runs; a producer of all."""
        return [capture for capture in self.captures if capture.life.consumer is not None] or list(self.captures)

    def worker(self) -> WorkerInfo | None:
        found = [discovery.describe_worker(capture, self.findings()) for capture in self._serving()]
        return next((worker for worker in found if worker is not None), None)

    def list_running(self) -> list[RunningTask]:
        return [task for capture in list(self.captures) for task in discovery.list_running(capture)]

    def findings(self) -> list[Finding]:
        return list(dict.fromkeys(finding for capture in self._serving() for finding in doctor.findings(capture)))

    # -- what operators ask --------------------------------------------------------------------------------------------
    def retry_task(self, original: Original, *, new_id: str) -> dict[str, Any]:
        for capture in list(self.captures):
            if capture.huey.name == original.queue:
                return commands.retry_task(capture, original, new_id)
        raise Refused(f"it belongs to the Huey object {original.queue!r}, which this process does not have")

    def cancel_task(self, task_id: str) -> dict[str, Any]:
        return self._first(commands.cancel_task, task_id)

    def terminate_task(self, task_id: str) -> dict[str, Any]:
        return self._first(commands.terminate_task, task_id)

    def _first(self, act: Callable[[Capture, str], dict[str, Any]], task_id: str) -> dict[str, Any]:
        """What the first of the objects answers that knows the task. Raises the last one's Refused."""
        refused = Refused("no Huey object is watched here")
        for capture in list(self.captures):
            try:
                return act(capture, task_id)
            except Refused as error:
                refused = error
        raise refused

    def lookup_task(self, task_id: str) -> dict[str, Any]:
        found = {"state": "unknown", "engine_state": "gone"}
        for capture in list(self.captures):
            found = reconcile.lookup_task(capture, task_id)
            if found["state"] != "unknown":
                break
        return found
