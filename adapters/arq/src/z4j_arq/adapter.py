# SPDX-License-Identifier: Apache-2.0
"""What z4j may know of and ask of arq in this process."""

from __future__ import annotations

from typing import Any, ClassVar

from arq.version import VERSION

from z4j_agent.contract.adapter import Capability
from z4j_arq.capture import Capture
from z4j_arq.commands import TaskCommands
from z4j_arq.control import WorkerCommands
from z4j_arq.discovery import Discovery
from z4j_arq.doctor import Doctor
from z4j_arq.queues import has_queue
from z4j_arq.reconcile import Reconcile
from z4j_arq.schedulers.schedules import ArqCron
from z4j_arq.state import ArqState
from z4j_arq.waiting import WaitingTasks
from z4j_arq.wrappers import Wrappers


class ArqAdapter(TaskCommands, WaitingTasks, WorkerCommands, Reconcile, Discovery, Doctor):
    """`capture` holds the hooks; everything else is asked in the agent's thread."""

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
        self.state = ArqState()
        self.capture = Capture(self.state, Wrappers)
        self.watch(process, worker_settings)
        self.schedulers = (ArqCron(self.state),)

    def engine_version(self) -> str:
        return str(VERSION)

    def watch(self, _process: None, worker_settings: Any) -> None:
        """This process, which has all of arq's pools and workers, is watched anyhow; the functions of these settings are known, too."""
        if worker_settings is not None:
            self.state.know(worker_settings)

    def install(self) -> None:
        self.capture.connect()

    def uninstall(self) -> None:
        self.capture.disconnect()

    def knows_task(self, name: str) -> bool:
        """Functions of this process's workers and settings, and what the application itself has enqueued from here."""
        return name in self.state.functions() or name in self.state.enqueued

    def knows_queue(self, queue: str) -> bool:
        """A queue this process works for or has enqueued to."""
        return has_queue(self.state, queue, self.only)
