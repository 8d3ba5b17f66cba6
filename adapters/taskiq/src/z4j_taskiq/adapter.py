# SPDX-License-Identifier: Apache-2.0
"""The adapter for the taskiq brokers of one process."""

from __future__ import annotations

import inspect
from importlib.metadata import version
from typing import Any, ClassVar

from taskiq.receiver import Receiver

from z4j_agent.contract.adapter import Capability
from z4j_taskiq import receiver
from z4j_taskiq.capture import Capture
from z4j_taskiq.discovery import Discovery
from z4j_taskiq.doctor import Doctor
from z4j_taskiq.pausing import PauseCommands
from z4j_taskiq.queue_commands import QueueCommands
from z4j_taskiq.queues import Queues
from z4j_taskiq.reconcile import Reconcile
from z4j_taskiq.schedulers.schedules import Schedules
from z4j_taskiq.state import BrokerState
from z4j_taskiq.task_commands import TaskCommands, has_queue
from z4j_taskiq.worker_commands import WorkerCommands

WAITS = "wait_tasks_timeout" in inspect.signature(Receiver.__init__).parameters
"""Whether a worker that ends waits for its running tasks. Found by experiment: taskiq 0.11.0 does not, 0.11.20 does."""


class TaskiqAdapter(TaskCommands, QueueCommands, PauseCommands, WorkerCommands, Queues, Reconcile, Discovery, Doctor):
    """A capture has the hooks of one broker; all other methods run in the agent's thread."""

    capabilities: ClassVar[tuple[Capability, ...]] = (
        Capability("retry_task", "any", "exact", note="Sends the stored message again under a new ID, linked to this task."),
        Capability(
            "cancel_task",
            "worker",
            "best_effort",
            ("scheduled", "queued", "received", "retrying"),
            "Removed from a Redis list at once; elsewhere the workers of one spool folder drop it when they receive it.",
        ),
        Capability(
            "terminate_task", "worker", "best_effort", ("running",), "Needs an async task: a plain function runs in a thread to its end."
        ),
        Capability("edit_task", "any", "exact", note="Sends the stored message again with other arguments, under a new ID."),
        Capability("restore_task", "any", "exact", note="Sends the stored message again, behind the queued tasks."),
        Capability("run_task", "any", "exact", note="Any task the application has registered."),
        Capability("move_task", "any", "exact", ("queued",), "From one Redis list to another of the same Redis, atomically."),
        Capability("prioritise_task", "any", "exact", ("queued",), "Only to the front of a Redis list, which has no other order."),
        Capability("lookup_task", "any", "best_effort"),
        Capability("inspect_task", "worker", "exact", ("running",), "File, line and function; nothing is interrupted."),
        Capability("peek_queue", "any", "exact", note="Redis lists and streams."),
        Capability("purge_queue", "any", "exact", note="Redis lists and streams. Tasks that a worker has fetched are not affected."),
        Capability("pause_queue", "worker", "best_effort", note="Tasks that a worker has prefetched still run."),
        Capability("resume_queue", "worker", "exact"),
        *((Capability("shutdown_worker", "worker", "exact", note="The manager ends with all its worker processes."),) if WAITS else ()),
    )

    def __init__(self, broker: Any) -> None:
        super().__init__(broker)
        self._schedules = Schedules(lambda broker: any(state.broker is broker for state in self.states))
        self.schedulers = (self._schedules,)

    def make_capture(self, target: Any) -> Capture:
        return Capture(BrokerState(target), receiver.watch, receiver.unwatch)

    def unwatch(self, target: Any) -> None:
        super().unwatch(target)
        self._schedules.unwatch(target)

    def engine_version(self) -> str:
        return version("taskiq")

    # -- discovery -----------------------------------------------------------------------------------------------------
    def knows_task(self, name: str) -> bool:
        """Whether a broker has registered the task, or the application itself has sent it from here by name."""
        return any(state.broker.find_task(name) is not None or name in state.sent for state in self.states_in_scope())

    def knows_queue(self, queue: str) -> bool:
        """Whether a worker of a broker takes from the queue, or the application itself has sent to it (label `queue_name`)."""
        return any(has_queue(state, queue) for state in self.states_in_scope())
