# SPDX-License-Identifier: Apache-2.0
"""What z4j may know of and ask of arq in this process."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

from arq.version import VERSION

import z4j_agent
from z4j_agent.adapter import Adapter, Capability, Finding, Original, QueueInfo, RunningTask, TaskInfo, WaitingTask, WorkerInfo
from z4j_arq import commands, control, discovery, doctor, queues, reconcile, waiting
from z4j_arq.capture import Capture
from z4j_arq.schedules import ArqCron


class ArqAdapter(Adapter):
    """`capture` holds the hooks; everything else is asked in the agent's thread."""

    engine: ClassVar[str] = "arq"
    capabilities: ClassVar[tuple[Capability, ...]] = (
        Capability("retry_task", "any", "exact", note="Enqueues the kept job again under a new id, linked to this task."),
        Capability("edit_task", "any", "exact"),
        Capability("restore_task", "any", "exact"),
        Capability("run_task", "any", "exact"),
        Capability("cancel_task", "any", "exact", ("scheduled", "queued", "retrying"), "Takes the job out of its queue at once."),
        Capability("release_task", "any", "exact", ("scheduled", "retrying")),
        Capability("prioritise_task", "any", "exact", ("queued",), "In front of everything that waits; arq knows no other order."),
        Capability("move_task", "any", "exact", ("scheduled", "queued", "retrying"), "Within one Redis."),
        Capability("lookup_task", "any", "best_effort", note="A result is kept for an hour, unless the application says otherwise."),
        Capability("peek_queue", "any", "exact"),
        Capability("purge_queue", "any", "exact"),
        Capability("pause_queue", "worker", "exact", note="What runs goes on; cron jobs are still enqueued, and wait."),
        Capability("resume_queue", "worker", "exact"),
        Capability("shutdown_worker", "worker", "exact", note="Finishes what it runs, whatever `job_completion_wait` says."),
        Capability(
            "terminate_task",
            "worker",
            "best_effort",
            ("running",),
            "Raises asyncio.CancelledError in the task at its next await; a task that never awaits cannot be stopped.",
        ),
    )

    def __init__(self, process: None = None, worker_settings: Any = None) -> None:
        self.capture = Capture()
        self.watch(process, worker_settings)
        self.schedulers = (ArqCron(self.capture),)
        self._broker = ""
        """The one Redis that commands look into, "" for all of this process."""

    def engine_version(self) -> str:
        return str(VERSION)

    def watch(self, _process: None, worker_settings: Any) -> None:
        """This process, which has all of arq's pools and workers, is watched anyhow; the functions of these settings are known, too."""
        if worker_settings is not None:
            self.capture.know(worker_settings)

    def install(self) -> None:
        self.capture.connect()

    def uninstall(self) -> None:
        self.capture.disconnect()

    def brokers(self) -> Mapping[str, str]:
        agent = z4j_agent.current()
        told = agent.fingerprints if agent is not None else {}
        return {identity: told.get(identity, "") for identity in queues.identities(self.capture)}

    def of_broker(self, broker: str) -> ArqAdapter:
        if broker == self._broker:
            return self
        beside = copy.copy(self)
        beside._broker = broker
        return beside

    def list_tasks(self) -> list[TaskInfo]:
        return discovery.list_tasks(self.capture)

    def list_queues(self) -> list[QueueInfo]:
        return queues.list_queues(self.capture)

    def knows_task(self, name: str) -> bool:
        """Functions of this process's workers and settings, and what the application itself has enqueued from here."""
        return name in self.capture.functions() or name in self.capture.enqueued

    def knows_queue(self, queue: str) -> bool:
        """A queue this process works for or has enqueued to."""
        return queues.knows(self.capture, queue, self._broker)

    def worker(self) -> WorkerInfo | None:
        return discovery.describe_worker(self.capture, self.findings())

    def list_running(self) -> list[RunningTask]:
        return discovery.list_running(self.capture)

    def findings(self) -> list[Finding]:
        return doctor.findings(self.capture)

    def retry_task(self, original: Original, *, new_id: str) -> dict[str, Any]:
        return commands.retry_task(self.capture, original, new_id)

    def read_arguments(self, original: Original) -> tuple[list[Any], dict[str, Any]]:
        return commands.read_arguments(self.capture, original)

    def edit_task(self, original: Original, args: list[Any], kwargs: dict[str, Any], *, new_id: str) -> dict[str, Any]:
        return commands.edit_task(self.capture, original, args, kwargs, new_id)

    def restore_task(self, original: Original, *, new_id: str, eta_at: int | None, priority: int | None) -> dict[str, Any]:
        return commands.restore_task(self.capture, original, new_id, eta_at)

    def run_task(self, name: str, args: list[Any], kwargs: dict[str, Any], *, new_id: str, queue: str) -> dict[str, Any]:
        return commands.run_task(self.capture, name, args, kwargs, new_id, queue, self._broker)

    def cancel_task(self, task_id: str) -> dict[str, Any]:
        return waiting.cancel_task(self.capture, task_id, self._broker)

    def move_task(self, task_id: str, queue: str) -> dict[str, Any]:
        return waiting.move_task(self.capture, task_id, queue, self._broker)

    def prioritise_task(self, task_id: str, level: str) -> dict[str, Any]:
        return waiting.prioritise_task(self.capture, task_id, level, self._broker)

    def release_task(self, task_id: str) -> dict[str, Any]:
        return waiting.release_task(self.capture, task_id, self._broker)

    def terminate_task(self, task_id: str) -> dict[str, Any]:
        return commands.terminate_task(self.capture, task_id, self._broker)

    def lookup_task(self, task_id: str) -> dict[str, Any]:
        return reconcile.lookup_task(self.capture, task_id, self._broker)

    def peek_queue(self, queue: str, place: str, limit: int) -> list[WaitingTask]:
        return waiting.peek_queue(self.capture, queue, place, limit, self._broker)

    def purge_queue(self, queue: str, place: str) -> dict[str, Any]:
        return waiting.purge_queue(self.capture, queue, place, self._broker)

    def pause_queue(self, queue: str) -> dict[str, Any]:
        return control.pause_queue(self.capture, queue, self._broker)

    def resume_queue(self, queue: str) -> dict[str, Any]:
        return control.resume_queue(self.capture, queue, self._broker)

    def shutdown_worker(self) -> dict[str, Any]:
        return control.shutdown_worker(self.capture)
