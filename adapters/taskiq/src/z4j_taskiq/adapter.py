# SPDX-License-Identifier: Apache-2.0
"""What z4j may know of and ask of the taskiq brokers of one process."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, ClassVar

from taskiq.receiver import Receiver

from z4j_agent.adapter import Adapter, Capability, Finding, Original, QueueInfo, RunningTask, TaskInfo, WaitingTask, WorkerInfo
from z4j_taskiq import brokers, commands, control, discovery, doctor, queues, reconcile, waiting
from z4j_taskiq.capture import Capture
from z4j_taskiq.schedules import Schedules

WAITS = "wait_tasks_timeout" in inspect.signature(Receiver.__init__).parameters
"""Whether a worker that ends waits for what it runs. Found by experiment: taskiq 0.11.0 does not, 0.11.20 does."""


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
        Capability("edit_task", "any", "exact", note="Sends the kept message again with other arguments, under a new id."),
        Capability("restore_task", "any", "exact", note="Sends the kept message again, behind what waits."),
        Capability("run_task", "any", "exact", note="Any task the application has registered."),
        Capability("move_task", "any", "exact", ("queued",), "From one Redis list to another of the same Redis, in one step."),
        Capability("prioritise_task", "any", "exact", ("queued",), "Only to the front of a Redis list: it knows no other order."),
        Capability("lookup_task", "any", "best_effort"),
        Capability("peek_queue", "any", "exact", note="Redis lists and streams."),
        Capability("purge_queue", "any", "exact", note="Redis lists and streams. What a worker has already is not touched."),
        Capability("pause_queue", "worker", "best_effort", note="Tasks that a worker has fetched in advance still run."),
        Capability("resume_queue", "worker", "exact"),
        *((Capability("shutdown_worker", "worker", "exact", note="The manager ends with all its worker processes."),) if WAITS else ()),
    )

    def __init__(self, broker: Any) -> None:
        self.captures = [Capture(broker)]
        self._schedules = Schedules(lambda asked: any(capture.broker is asked for capture in self.captures))
        self.schedulers = (self._schedules,)
        self._broker = ""
        """The one broker that commands look into, "" for all of this process."""

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
            self._schedules.unwatch(broker)

    def engine_version(self) -> str:
        return version("taskiq")

    def install(self) -> None:
        for capture in self.captures:
            capture.connect()

    def uninstall(self) -> None:
        for capture in self.captures:
            capture.disconnect()

    # -- brokers -------------------------------------------------------------------------------------------------------
    def brokers(self) -> Mapping[str, str]:
        return brokers.brokers(self.captures)

    def of_broker(self, broker: str) -> TaskiqAdapter:
        if broker == self._broker:
            return self
        beside = copy.copy(self)
        beside._broker = broker
        return beside

    def _asked(self, broker: str = "") -> list[Capture]:
        """The brokers a command may concern."""
        only = broker or self._broker
        return [capture for capture in list(self.captures) if only in ("", brokers.identity_of(capture.broker))]

    def _from(self, original: Original) -> Capture:
        return commands.sender_of(self._asked(original.broker), original)

    # -- what is there -------------------------------------------------------------------------------------------------
    def list_tasks(self) -> list[TaskInfo]:
        found = {task.name: task for capture in self.captures for task in discovery.list_tasks(capture.broker)}
        return [found[name] for name in sorted(found)]

    def list_queues(self) -> list[QueueInfo]:
        return queues.list_queues(list(self.captures))

    def knows_task(self, name: str) -> bool:
        """What one of the brokers has registered, and what the application itself has sent from here under a name alone."""
        return any(capture.broker.find_task(name) is not None or name in capture.sent for capture in self._asked())

    def knows_queue(self, queue: str) -> bool:
        """A queue that a worker of one of the brokers takes from, or that the application itself has sent to (label `queue_name`)."""
        return any(commands.has_queue(capture, queue) for capture in self._asked())

    def worker(self) -> WorkerInfo | None:
        return discovery.describe_worker(self.captures, self.findings())

    def list_running(self) -> list[RunningTask]:
        control.wake_stopping(self.captures)
        return [run for capture in self.captures for run in discovery.list_running(capture)]

    def findings(self) -> list[Finding]:
        return [found for capture in self.captures for found in doctor.findings(capture)]

    def retry_task(self, original: Original, *, new_id: str) -> dict[str, Any]:
        return commands.retry_task(self._from(original), original, new_id)

    def cancel_task(self, task_id: str) -> dict[str, Any]:
        return commands.cancel_task(self._asked(), task_id, self._broker)

    def terminate_task(self, task_id: str) -> dict[str, Any]:
        return commands.terminate_task(self._asked(), task_id)

    def lookup_task(self, task_id: str) -> dict[str, Any]:
        return reconcile.lookup_task(self._asked(), task_id)

    def read_arguments(self, original: Original) -> tuple[list[Any], dict[str, Any]]:
        return commands.read_arguments(self._from(original), original)

    def edit_task(self, original: Original, args: list[Any], kwargs: dict[str, Any], *, new_id: str) -> dict[str, Any]:
        return commands.edit_task(self._from(original), original, args, kwargs, new_id)

    def restore_task(self, original: Original, *, new_id: str, eta_at: int | None, priority: int | None) -> dict[str, Any]:
        return commands.retry_task(self._from(original), original, new_id)

    def run_task(self, name: str, args: list[Any], kwargs: dict[str, Any], *, new_id: str, queue: str) -> dict[str, Any]:
        return commands.run_task(self._asked(), name, args, kwargs, new_id, queue)

    def move_task(self, task_id: str, queue: str) -> dict[str, Any]:
        return commands.move_task(self._asked(), task_id, queue, list(self.captures))

    def prioritise_task(self, task_id: str, level: str) -> dict[str, Any]:
        return commands.prioritise_task(self._asked(), task_id, level)

    def peek_queue(self, queue: str, place: str, limit: int) -> list[WaitingTask]:
        return waiting.peek_queue(self._asked(), queue, place, limit)

    def purge_queue(self, queue: str, place: str) -> dict[str, Any]:
        return waiting.purge_queue(self._asked(), queue, place)

    def pause_queue(self, queue: str) -> dict[str, Any]:
        return control.pause_queue(self._asked(), queue, self._broker)

    def resume_queue(self, queue: str) -> dict[str, Any]:
        return control.resume_queue(self._asked(), queue, self._broker)

    def shutdown_worker(self) -> dict[str, Any]:
        return control.shutdown_worker(self.captures)
