# SPDX-License-Identifier: Apache-2.0
"""The adapter for the Celery apps of a process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import celery

import z4j_agent
from z4j_agent.contract.adapter import Capability, Finding
from z4j_agent.runtime import gevent_bridge
from z4j_celery import apps, doctor, pausing, worker_commands
from z4j_celery.brokers import destinations
from z4j_celery.brokers.message import driver_of
from z4j_celery.capture import Capture
from z4j_celery.discovery import Discovery
from z4j_celery.pausing import PauseCommands
from z4j_celery.queue_commands import QueueCommands
from z4j_celery.queues import Queues
from z4j_celery.reconcile import Reconcile
from z4j_celery.schedulers.beat import CeleryBeat
from z4j_celery.state import AppState
from z4j_celery.task_commands import TaskCommands, can_terminate
from z4j_celery.worker_commands import WorkerCommands


class CeleryAdapter(TaskCommands, QueueCommands, PauseCommands, WorkerCommands, Queues, Reconcile, Discovery):
    """One object for all apps of a process; at most one of them is the worker's. All methods except the hooks run in the agent's thread."""

    capabilities: ClassVar[tuple[Capability, ...]] = (
        Capability("retry_task", "any", "exact", note="Sends the stored message again under a new ID, linked to this task."),
        Capability("edit_task", "any", "exact"),
        Capability("restore_task", "any", "exact"),
        Capability("run_task", "any", "exact"),
        Capability(
            "cancel_task",
            "worker",
            "best_effort",
            ("scheduled", "queued", "received", "retrying"),
            "Celery keeps cancellations in memory; z4j repeats them to every worker that connects.",
        ),
        Capability(
            "terminate_task",
            "worker",
            "best_effort",
            ("running",),
            "Prefork ends the child process, gevent the greenlet; eventlet, threads and solo cannot.",
        ),
        Capability("move_task", "any", "exact", ("scheduled", "queued"), "Tasks that no worker has fetched; on Redis and RabbitMQ."),
        Capability("prioritise_task", "any", "exact", ("queued",), "On Redis, and on RabbitMQ queues declared with x-max-priority."),
        Capability("release_task", "worker", "exact", ("scheduled", "retrying"), "By the worker that has fetched it, or while none has."),
        Capability("lookup_task", "any", "best_effort", note="From the result backend and a Redis broker."),
        Capability(
            "inspect_task", "worker", "exact", ("running",), "File, line and function; nothing is interrupted. Prefork: with Z4J_STACKS=1."
        ),
        Capability("peek_queue", "any", "exact", note="On RabbitMQ, messages that were shown are marked as redelivered."),
        Capability("purge_queue", "any", "exact", note="Tasks that a worker has prefetched are no longer in the queue."),
        Capability("pause_queue", "worker", "exact", note="Tasks that a worker has prefetched still run."),
        Capability("resume_queue", "worker", "exact"),
        Capability("shutdown_worker", "worker", "exact", note="Warm shutdown: running tasks finish."),
        Capability("restart_worker", "worker", "best_effort", note="Only the pool with worker_pool_restarts, else the whole worker."),
        Capability("resize_worker", "worker", "exact", note="Prefork, gevent and eventlet; until the next start."),
        Capability("consume_queue", "worker", "exact", note="Until the next start."),
        Capability("leave_queue", "worker", "exact", note="Until the next start."),
        Capability("limit_name", "worker", "exact", note="In this worker, until it is restarted."),
    )

    def __init__(self, app: Any) -> None:
        super().__init__(app)
        self.schedulers = (CeleryBeat(lambda: [state.app for state in self.states], lambda do: gevent_bridge.ask(self.hub, do)),)

    def make_capture(self, target: Any) -> Capture:
        return Capture(AppState(target), self._is_ready)

    def _is_ready(self, state: AppState) -> None:
        """Called before the agent connects: removes capabilities that this worker's pool or broker does not have."""
        pool = state.consumer.pool
        unsupported = set() if can_terminate(pool) else {"terminate_task"}
        if not worker_commands.can_resize(pool):
            unsupported.add("resize_worker")
        if driver_of(state.app) not in ("redis", "amqp"):
            unsupported |= {"move_task", "prioritise_task", "peek_queue", "purge_queue"}
        self.narrow(unsupported)
        pausing.reapply_pauses(state)

    def runs_in_children(self) -> bool:
        pools = [state.consumer.pool for state in self.states if state.consumer is not None]
        return any(type(pool).__module__ == "celery.concurrency.prefork" for pool in pools)

    def engine_version(self) -> str:
        return str(celery.__version__)

    # -- discovery -----------------------------------------------------------------------------------------------------
    def brokers(self) -> Mapping[str, str]:
        agent = z4j_agent.current()
        fingerprints = agent.fingerprints if agent is not None else {}
        return {identity: fingerprints.get(identity, "") for app in self.apps if (identity := apps.identity_of(app))}

    def knows_task(self, name: str) -> bool:
        return any(destinations.knows_task(app, name) for app in self.apps)

    def knows_queue(self, queue: str) -> bool:
        return any(state.knows_queue(queue) for state in self.states_in_scope())

    def findings(self) -> list[Finding]:
        return doctor.findings(self.serving(), self.first.consumer)
