# SPDX-License-Identifier: Apache-2.0
"""What z4j may know of and ask of one Huey object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import huey as engine

from z4j_agent.adapter import Adapter, Capability, Finding, Original, QueueInfo, Refused, RunningTask, TaskInfo, WaitingTask, WorkerInfo
from z4j_huey import commands, control, discovery, doctor, originals, queues, reconcile, waiting
from z4j_huey.capture import Capture
from z4j_huey.schedules import HueyPeriodic


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
        Capability("edit_task", "any", "exact", note="Enqueues the kept task again with other arguments, under a new id."),
        Capability("restore_task", "any", "exact", note="Puts the kept task back with the time and the priority it had."),
        Capability("run_task", "any", "exact", note="Any task the application has registered."),
        Capability(
            "release_task", "any", "exact", ("scheduled", "retrying"), "Redis and SQLite storages; out of the schedule in one step."
        ),
        Capability("prioritise_task", "any", "exact", ("queued",), "PriorityRedisHuey and SqliteHuey; the others know no priorities."),
        Capability("lookup_task", "any", "best_effort", note="Huey keeps no result of a task that returned None."),
        Capability("peek_queue", "any", "exact"),
        Capability("purge_queue", "any", "exact", note="Redis and SQLite storages. What a worker has already is not touched."),
        Capability("pause_queue", "worker", "best_effort", note="A worker that was waiting at that moment may still take one task."),
        Capability("resume_queue", "worker", "exact"),
        Capability("shutdown_worker", "worker", "exact", note="A graceful end: it finishes what it runs."),
        Capability("restart_worker", "worker", "exact", note="A graceful end, and its own command again."),
    )

    def __init__(self, huey: Any) -> None:
        self.captures = [Capture(huey)]
        self.is_installed = False
        self.schedulers = (HueyPeriodic(lambda: list(self.captures)),)

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

    def knows_task(self, name: str) -> bool:
        """What stands in Huey's registry: a consumer drops any other message."""
        return any(name in capture.huey._registry._registry for capture in list(self.captures))

    def knows_queue(self, queue: str) -> bool:
        """A Huey object has one queue, which has its name."""
        return any(capture.huey.name == queue for capture in list(self.captures))

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
    def _of(self, queue: str) -> Capture:
        """The watched object of this name. Raises Refused."""
        for capture in list(self.captures):
            if capture.huey.name == queue:
                return capture
        raise Refused(f"it belongs to the Huey object {queue[:80]!r}, which this process does not have", check="queue.unknown")

    def retry_task(self, original: Original, *, new_id: str) -> dict[str, Any]:
        return commands.retry_task(self._of(original.queue), original, new_id)

    def read_arguments(self, original: Original) -> tuple[list[Any], dict[str, Any]]:
        return originals.read_arguments(self._of(original.queue).huey, original)

    def edit_task(self, original: Original, args: list[Any], kwargs: dict[str, Any], *, new_id: str) -> dict[str, Any]:
        return commands.edit_task(self._of(original.queue), original, args, kwargs, new_id)

    def restore_task(self, original: Original, *, new_id: str, eta_at: int | None, priority: int | None) -> dict[str, Any]:
        return commands.restore_task(self._of(original.queue), original, new_id, eta_at, priority)

    def run_task(self, name: str, args: list[Any], kwargs: dict[str, Any], *, new_id: str, queue: str) -> dict[str, Any]:
        if queue:
            return commands.run_task(self._of(queue), name, args, kwargs, new_id)
        return self._first(lambda capture, _: commands.run_task(capture, name, args, kwargs, new_id), "")

    def release_task(self, task_id: str) -> dict[str, Any]:
        return self._first(commands.release_task, task_id)

    def prioritise_task(self, task_id: str, level: str) -> dict[str, Any]:
        return self._first(lambda capture, id: commands.prioritise_task(capture, id, level), task_id)

    def peek_queue(self, queue: str, place: str, limit: int) -> list[WaitingTask]:
        return waiting.peek_queue(self._of(queue), place, limit)

    def purge_queue(self, queue: str, place: str) -> dict[str, Any]:
        return waiting.purge_queue(self._of(queue), place)

    def pause_queue(self, queue: str) -> dict[str, Any]:
        return control.pause_queue(self._of(queue))

    def resume_queue(self, queue: str) -> dict[str, Any]:
        return control.resume_queue(self._of(queue))

    def list_paused(self) -> list[str]:
        return sorted({queue for capture in self.captures for queue in capture.pausing.holds.queues()})

    def restart_worker(self) -> dict[str, Any]:
        return control.restart_worker(self._serving()[0])

    def shutdown_worker(self) -> dict[str, Any]:
        return control.shutdown_worker(self._serving()[0])

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
