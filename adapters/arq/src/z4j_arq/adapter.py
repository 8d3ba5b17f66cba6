# SPDX-License-Identifier: Apache-2.0
"""The adapter for arq in this process."""

from __future__ import annotations

from typing import Any, ClassVar

from arq.version import VERSION

from z4j_agent.contract.adapter import Capability
from z4j_arq.capture import Capture
from z4j_arq.discovery import Discovery
from z4j_arq.doctor import Doctor
from z4j_arq.pausing import PauseCommands
from z4j_arq.queue_commands import QueueCommands
from z4j_arq.queues import has_queue
from z4j_arq.reconcile import Reconcile
from z4j_arq.schedulers.schedules import ArqCron
from z4j_arq.state import ArqState
from z4j_arq.task_commands import TaskCommands
from z4j_arq.worker_commands import WorkerCommands
from z4j_arq.wrappers import Wrappers


class ArqAdapter(TaskCommands, QueueCommands, PauseCommands, WorkerCommands, Reconcile, Discovery, Doctor):
    """`capture` has the hooks; all other methods run in the agent's thread."""

    capabilities: ClassVar[tuple[Capability, ...]] = (
        Capability("retry_task", "any", "exact", note="Enqueues the stored job again under a new ID, linked to this task."),
        Capability("edit_task", "any", "exact"),
        Capability("restore_task", "any", "exact"),
        Capability("run_task", "any", "exact"),
        Capability("cancel_task", "any", "exact", ("scheduled", "queued", "retrying"), "Removes the job from its queue immediately."),
        Capability("release_task", "any", "exact", ("scheduled", "retrying")),
        Capability("prioritise_task", "any", "exact", ("queued",), "Only to the front: arq has no other order."),
        Capability("move_task", "any", "exact", ("scheduled", "queued", "retrying"), "Within one Redis."),
        Capability("lookup_task", "any", "best_effort", note="Results are stored for an hour by default."),
        Capability("inspect_task", "worker", "exact", ("running",), "Shows what the task awaits: file, line and function."),
        Capability("peek_queue", "any", "exact"),
        Capability("purge_queue", "any", "exact"),
        Capability("pause_queue", "worker", "exact", note="Running tasks continue; cron jobs are still enqueued, and wait."),
        Capability("resume_queue", "worker", "exact"),
        Capability("shutdown_worker", "worker", "exact", note="Running tasks finish, regardless of `job_completion_wait`."),
        Capability(
            "terminate_task",
            "worker",
            "best_effort",
            ("running",),
            "Raises asyncio.CancelledError in the task at its next await; a task that never awaits cannot be stopped.",
        ),
    )

    def __init__(self, process: None = None, worker_settings: Any = None) -> None:
        self.state = ArqState()
        self.capture = Capture(self.state, Wrappers)
        self.watch(process, worker_settings)
        self.schedulers = (ArqCron(self.state),)

    def engine_version(self) -> str:
        return str(VERSION)

    def watch(self, _process: None, worker_settings: Any) -> None:
        """Adds the functions of worker settings. All pools and workers of the process are monitored already."""
        if worker_settings is not None:
            self.state.add(worker_settings)

    def install(self) -> None:
        self.capture.connect()

    def uninstall(self) -> None:
        self.capture.disconnect()

    def knows_task(self, name: str) -> bool:
        """Whether it is a function of this process's workers or settings, or the application itself has enqueued it from here."""
        return name in self.state.functions() or name in self.state.enqueued

    def knows_queue(self, queue: str) -> bool:
        """Whether a worker of this process takes from the queue, or this process has enqueued to it."""
        return has_queue(self.state, queue, self.only)
