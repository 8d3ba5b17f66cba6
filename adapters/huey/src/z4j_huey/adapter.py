# SPDX-License-Identifier: Apache-2.0
"""What z4j may know of and ask of one Huey object."""

from __future__ import annotations

from typing import Any, ClassVar

import huey as engine

from z4j_agent.contract.adapter import Capability
from z4j_huey.capture import Capture
from z4j_huey.commands import TaskCommands
from z4j_huey.control import WorkerCommands
from z4j_huey.discovery import Discovery
from z4j_huey.doctor import Doctor
from z4j_huey.queues import Queues
from z4j_huey.reconcile import Reconcile
from z4j_huey.schedulers.schedules import HueyPeriodic
from z4j_huey.state import HueyState
from z4j_huey.waiting import QueueCommands


class HueyAdapter(TaskCommands, QueueCommands, WorkerCommands, Queues, Reconcile, Discovery, Doctor):
    """One `Capture` per Huey object that is watched; everything else is asked in the agent's thread."""

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
        super().__init__(huey)
        self.schedulers = (HueyPeriodic(lambda: [capture.periodic for capture in self.captures]),)

    def make_capture(self, target: Any) -> Capture:
        return Capture(HueyState(target))

    def engine_version(self) -> str:
        return str(engine.__version__)

    # -- what it knows -------------------------------------------------------------------------------------------------
    def knows_task(self, name: str) -> bool:
        """What stands in Huey's registry: a consumer drops any other message."""
        return any(state.has(name) for state in self.asked())

    def knows_queue(self, queue: str) -> bool:
        """A Huey object has one queue, which has its name."""
        return any(state.huey.name == queue for state in self.asked())
