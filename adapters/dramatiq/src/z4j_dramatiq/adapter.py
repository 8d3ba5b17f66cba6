# SPDX-License-Identifier: Apache-2.0
"""What z4j may know of and ask of one Dramatiq broker."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import dramatiq

import z4j_agent
from z4j_agent.adapter import Adapter, Capability, Finding, Original, QueueInfo, Refused, RunningTask, TaskInfo, WaitingTask, WorkerInfo
from z4j_agent.contract import ACTION_LEVEL
from z4j_dramatiq import brokers, commands, control, discovery, doctor, queues, reconcile, waiting
from z4j_dramatiq.capture import Capture
from z4j_dramatiq.facts import DEAD, DELAYED


class DramatiqAdapter(Adapter):
    """`capture` holds the middleware; everything else is asked in the agent's thread."""

    engine: ClassVar[str] = "dramatiq"
    capabilities: ClassVar[tuple[Capability, ...]] = (
        Capability("retry_task", "any", "exact", note="Sends the kept message again under a new id, linked to this task."),
        Capability(
            "cancel_task",
            "worker",
            "best_effort",
            ("scheduled", "queued", "received", "retrying"),
            "Taken out of Redis where no worker has it yet; else the workers of one host skip it when they come to it.",
        ),
        Capability(
            "terminate_task",
            "worker",
            "best_effort",
            ("running",),
            "An exception is raised in the task's thread; what waits in a system call ends when that returns.",
        ),
        Capability("edit_task", "any", "exact", note="Sends the kept message again with other arguments, under a new id."),
        Capability("restore_task", "any", "exact", note="Sends the kept message again, with the delay that is left of its time."),
        Capability("run_task", "any", "exact", note="Any actor the application declares."),
        Capability(
            "release_task", "worker", "best_effort", ("scheduled", "retrying"), "Not where another worker process has it in memory."
        ),
        Capability("move_task", "any", "exact", ("queued",), "Between queues in Redis, in one step."),
        Capability("prioritise_task", "any", "exact", ("queued",), "Only to the front of a queue in Redis: it knows no other order."),
        Capability("lookup_task", "any", "best_effort"),
        Capability("peek_queue", "any", "exact", note="On RabbitMQ what was looked at is marked as redelivered."),
        Capability("purge_queue", "any", "exact", note="What a worker has fetched already is not touched."),
        Capability("pause_queue", "worker", "best_effort", note="What a worker has fetched in advance still runs."),
        Capability("resume_queue", "worker", "exact"),
        Capability("shutdown_worker", "worker", "exact", note="The `dramatiq` command ends with all its worker processes."),
    )

    def __init__(self, broker: Any) -> None:
        self.broker = broker
        self.capture = Capture(broker, self._is_ready)
        self._broker = ""
        """That of a command, "" where it named none."""

    def _is_ready(self) -> None:
        """Called before the agent connects: what this process cannot do is not declared."""
        if not commands.can_reach_broker():
            self.narrow(ACTION_LEVEL)
        else:
            self.narrow(() if commands.can_terminate() else ("terminate_task",))

    def engine_version(self) -> str:
        return str(dramatiq.__version__)

    def install(self) -> None:
        self._is_ready()
        brokers.watched.append(self)
        self.capture.connect()

    def uninstall(self) -> None:
        if self in brokers.watched:
            brokers.watched.remove(self)
        self.capture.disconnect()

    # -- several brokers of one process: each has an adapter; commands come to the first -------------------------------
    def brokers(self) -> Mapping[str, str]:
        agent = z4j_agent.current()
        told = agent.fingerprints if agent is not None else {}
        ordered = sorted(brokers.watched, key=lambda adapter: adapter.capture.worker is None)  # that of the worker first
        found = (brokers.identity_of(adapter.broker) for adapter in ordered)
        return {identity: told.get(identity, "") for identity in found if identity}

    def of_broker(self, broker: str) -> DramatiqAdapter:
        found = next((adapter for adapter in brokers.watched if broker and brokers.identity_of(adapter.broker) == broker), None)
        if found is None:
            return self
        beside = copy.copy(found)
        beside._broker = broker
        return beside

    def knows_task(self, name: str) -> bool:
        return any(name in adapter.broker.actors for adapter in self._beside())

    def knows_queue(self, queue: str) -> bool:
        """A queue itself, never one of those Dramatiq keeps beside it."""
        return any(queue in queues.declared(adapter.broker) for adapter in self._beside()) and not queue.endswith((DELAYED, DEAD))

    def _beside(self) -> list[DramatiqAdapter]:
        return brokers.watched or [self]

    def _broker_of(self, original: Original) -> Any:
        """That of the original; one that names none is of the only broker. Raises Refused."""
        if not original.broker and len(brokers.watched) > 1:
            raise Refused(
                "this process uses several brokers, and the original does not say which it came from; nothing was sent",
                check="broker.unknown",
            )
        return self.of_broker(original.broker).broker

    def list_tasks(self) -> list[TaskInfo]:
        return discovery.list_tasks(self.broker)

    def list_queues(self) -> list[QueueInfo]:
        identity = brokers.identity_of(self.broker)
        return [replace(queue, broker=identity) for queue in queues.list_queues(self.capture)]

    def worker(self) -> WorkerInfo | None:
        return discovery.describe_worker(self.capture, self.findings())

    def list_running(self) -> list[RunningTask]:
        return discovery.list_running(self.capture)

    def findings(self) -> list[Finding]:
        return doctor.findings(self.capture)

    def retry_task(self, original: Original, *, new_id: str) -> dict[str, Any]:
        return commands.retry_task(self._broker_of(original), original, new_id)

    def cancel_task(self, task_id: str) -> dict[str, Any]:
        return commands.cancel_task(self.capture, task_id)

    def terminate_task(self, task_id: str) -> dict[str, Any]:
        return commands.terminate_task(self.capture, task_id)

    def lookup_task(self, task_id: str) -> dict[str, Any]:
        return reconcile.lookup_task(self.capture, task_id)

    def read_arguments(self, original: Original) -> tuple[list[Any], dict[str, Any]]:
        return commands.read_arguments(original)

    def edit_task(self, original: Original, args: list[Any], kwargs: dict[str, Any], *, new_id: str) -> dict[str, Any]:
        return commands.edit_task(self._broker_of(original), original, args, kwargs, new_id)

    def restore_task(self, original: Original, *, new_id: str, eta_at: int | None, priority: int | None) -> dict[str, Any]:
        return commands.restore_task(self._broker_of(original), original, new_id, eta_at, priority)

    def run_task(self, name: str, args: list[Any], kwargs: dict[str, Any], *, new_id: str, queue: str) -> dict[str, Any]:
        return commands.run_task(self._with_actor(name), name, args, kwargs, new_id, queue)

    def _with_actor(self, name: str) -> Any:
        return next((adapter.broker for adapter in (self, *self._beside()) if name in adapter.broker.actors), self.broker)

    def release_task(self, task_id: str) -> dict[str, Any]:
        return commands.release_task(self.capture, task_id)

    def move_task(self, task_id: str, queue: str) -> dict[str, Any]:
        return commands.move_task(self.broker, task_id, queue)

    def prioritise_task(self, task_id: str, level: str) -> dict[str, Any]:
        return commands.prioritise_task(self.broker, task_id, level)

    def peek_queue(self, queue: str, place: str, limit: int) -> list[WaitingTask]:
        return waiting.peek_queue(self.capture, queue, place, limit)

    def purge_queue(self, queue: str, place: str) -> dict[str, Any]:
        return waiting.purge_queue(self.capture, queue, place)

    def pause_queue(self, queue: str) -> dict[str, Any]:
        return control.pause_queue(self._working().capture, queue, self._broker)

    def resume_queue(self, queue: str) -> dict[str, Any]:
        return control.resume_queue(self._working().capture, queue, self._broker)

    def _working(self) -> DramatiqAdapter:
        """This one, or the one whose broker this process's worker has where the command names none."""
        others = [] if self._broker else [adapter for adapter in brokers.watched if adapter.capture.worker is not None]
        return next(iter(others), self)

    def shutdown_worker(self) -> dict[str, Any]:
        return control.shutdown_worker(self.capture)
