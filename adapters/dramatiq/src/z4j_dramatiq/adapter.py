# SPDX-License-Identifier: Apache-2.0
"""The adapter for one Dramatiq broker."""

from __future__ import annotations

from typing import Any, ClassVar

import dramatiq

from z4j_agent.contract.capabilities import ACTION_LEVEL, Capability
from z4j_dramatiq.broker_identity import watched
from z4j_dramatiq.capture import Capture
from z4j_dramatiq.discovery import Discovery
from z4j_dramatiq.doctor import Doctor
from z4j_dramatiq.messages import DEAD, DELAYED
from z4j_dramatiq.pausing import PauseCommands
from z4j_dramatiq.queue_commands import QueueCommands
from z4j_dramatiq.queues import declared
from z4j_dramatiq.reconcile import Reconcile
from z4j_dramatiq.state import BrokerState
from z4j_dramatiq.task_commands import TaskCommands, can_reach_broker, can_terminate
from z4j_dramatiq.worker_commands import WorkerCommands


class DramatiqAdapter(TaskCommands, QueueCommands, PauseCommands, WorkerCommands, Reconcile, Discovery, Doctor):
    """`capture` is the middleware; all other methods run in the agent's thread."""

    capabilities: ClassVar[tuple[Capability, ...]] = (
        Capability("retry_task", "any", "exact", note="Sends the stored message again under a new ID, linked to this task."),
        Capability(
            "cancel_task",
            "worker",
            "best_effort",
            ("scheduled", "queued", "received", "retrying"),
            "Removed from Redis if no worker has fetched it; else the workers of one host skip it when they receive it.",
        ),
        Capability(
            "terminate_task",
            "worker",
            "best_effort",
            ("running",),
            "An exception is raised in the task's thread; a task in a system call ends when the call returns.",
        ),
        Capability("edit_task", "any", "exact", note="Sends the stored message again with other arguments, under a new ID."),
        Capability("restore_task", "any", "exact", note="Sends the stored message again, with the remaining delay."),
        Capability("run_task", "any", "exact", note="Any actor the application declares."),
        Capability(
            "release_task", "worker", "best_effort", ("scheduled", "retrying"), "Not where another worker process has it in memory."
        ),
        Capability("move_task", "any", "exact", ("queued",), "Between queues in Redis, atomically."),
        Capability("prioritise_task", "any", "exact", ("queued",), "Only to the front of a queue in Redis, which has no other order."),
        Capability("lookup_task", "any", "best_effort"),
        Capability("inspect_task", "worker", "exact", ("running",), "File, line and function; nothing is interrupted."),
        Capability("peek_queue", "any", "exact", note="On RabbitMQ, messages that were shown are marked as redelivered."),
        Capability("purge_queue", "any", "exact", note="Tasks that a worker has fetched are not affected."),
        Capability("pause_queue", "worker", "best_effort", note="Tasks that a worker has prefetched still run."),
        Capability("resume_queue", "worker", "exact"),
        Capability("shutdown_worker", "worker", "exact", note="The `dramatiq` command ends with all its worker processes."),
    )

    def __init__(self, broker: Any) -> None:
        self.state = BrokerState(broker)
        self.capture = Capture(self.state, self._is_ready)

    def _is_ready(self) -> None:
        """Called before the agent connects: removes capabilities that this process does not have."""
        if not can_reach_broker():
            self.narrow(ACTION_LEVEL)
        else:
            self.narrow(() if can_terminate() else ("terminate_task",))

    def engine_version(self) -> str:
        return str(dramatiq.__version__)

    def install(self) -> None:
        self._is_ready()
        watched.append(self)
        self.capture.connect()

    def uninstall(self) -> None:
        if self in watched:
            watched.remove(self)
        self.capture.disconnect()

    def knows_task(self, name: str) -> bool:
        return any(name in adapter.broker.actors for adapter in self.siblings())

    def knows_queue(self, queue: str) -> bool:
        """Whether it is a declared queue, and not one of Dramatiq's additional queues."""
        return any(queue in declared(adapter.broker) for adapter in self.siblings()) and not queue.endswith((DELAYED, DEAD))
