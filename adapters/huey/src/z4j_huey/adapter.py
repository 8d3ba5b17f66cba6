# SPDX-License-Identifier: Apache-2.0
"""The adapter for the Huey objects of a process."""

from __future__ import annotations

from typing import Any, ClassVar

import huey as engine

from z4j_agent.contract.adapter import Capability
from z4j_huey.capture import Capture
from z4j_huey.discovery import Discovery
from z4j_huey.doctor import Doctor
from z4j_huey.pausing import PauseCommands
from z4j_huey.queue_commands import QueueCommands
from z4j_huey.queues import Queues
from z4j_huey.reconcile import Reconcile
from z4j_huey.schedulers.schedules import HueyPeriodic
from z4j_huey.state import HueyState
from z4j_huey.task_commands import TaskCommands
from z4j_huey.worker_commands import WorkerCommands


class HueyAdapter(TaskCommands, QueueCommands, PauseCommands, WorkerCommands, Queues, Reconcile, Discovery, Doctor):
    """Has one `Capture` for each monitored Huey object; all methods except the hooks run in the agent's thread."""

    capabilities: ClassVar[tuple[Capability, ...]] = (
        Capability("retry_task", "any", "exact", note="Enqueues the stored task again under a new ID, linked to this task."),
        Capability(
            "cancel_task",
            "any",
            "best_effort",
            ("scheduled", "queued", "retrying"),
            "Huey drops it when a worker receives it, which may be as late as its eta.",
        ),
        Capability(
            "terminate_task",
            "worker",
            "best_effort",
            ("running",),
            "A process is interrupted; in a thread or greenlet an exception is raised, which a system call may hold up.",
        ),
        Capability("edit_task", "any", "exact", note="Enqueues the stored task again with other arguments, under a new ID."),
        Capability("restore_task", "any", "exact", note="Enqueues the stored task again with its time and its priority."),
        Capability("run_task", "any", "exact", note="Any task the application has registered."),
        Capability(
            "release_task", "any", "exact", ("scheduled", "retrying"), "Redis and SQLite storages; removed from the schedule atomically."
        ),
        Capability("prioritise_task", "any", "exact", ("queued",), "PriorityRedisHuey and SqliteHuey; the others have no priorities."),
        Capability("lookup_task", "any", "best_effort", note="Huey stores no result of a task that returned None."),
        Capability(
            "inspect_task",
            "worker",
            "exact",
            ("running",),
            "File, line and function; nothing is interrupted. Worker processes: with Z4J_STACKS=1.",
        ),
        Capability("peek_queue", "any", "exact"),
        Capability("purge_queue", "any", "exact", note="Redis and SQLite storages. Tasks that a worker has fetched are not affected."),
        Capability("pause_queue", "worker", "best_effort", note="A worker that was waiting at that moment may still take one task."),
        Capability("resume_queue", "worker", "exact"),
        Capability("shutdown_worker", "worker", "exact", note="A graceful shutdown: running tasks finish."),
        Capability("restart_worker", "worker", "exact", note="A graceful shutdown; then its own command runs again."),
    )

    def __init__(self, huey: Any) -> None:
        super().__init__(huey)
        self.schedulers = (HueyPeriodic(lambda: [capture.periodic for capture in self.captures]),)

    def make_capture(self, target: Any) -> Capture:
        return Capture(HueyState(target))

    def runs_in_children(self) -> bool:
        return any(state.lifecycle.slots is not None for state in self.states)

    def engine_version(self) -> str:
        return str(engine.__version__)

    # -- discovery -----------------------------------------------------------------------------------------------------
    def knows_task(self, name: str) -> bool:
        """Whether the task is in Huey's registry: a consumer drops messages of any other."""
        return any(state.has(name) for state in self.states_in_scope())

    def knows_queue(self, queue: str) -> bool:
        """Whether a Huey object has this name: it has one queue, which has the object's name."""
        return any(state.huey.name == queue for state in self.states_in_scope())
