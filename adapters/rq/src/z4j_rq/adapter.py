# SPDX-License-Identifier: Apache-2.0
"""The adapter for RQ in this process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from rq.version import VERSION

from z4j_agent.contract.adapter import Capability
from z4j_rq.capture import Capture
from z4j_rq.discovery import Discovery
from z4j_rq.doctor import Doctor
from z4j_rq.pausing import PauseCommands
from z4j_rq.queue_commands import QueueCommands
from z4j_rq.reconcile import Reconcile
from z4j_rq.schedulers.rqcron import RqCron
from z4j_rq.schedulers.rqscheduler import RqScheduler
from z4j_rq.state import RqState
from z4j_rq.task_commands import TaskCommands, can_terminate
from z4j_rq.worker_commands import WorkerCommands

ABLE = (
    Capability("retry_task", "any", "exact", note="Enqueues the stored job again under a new ID, linked to this task."),
    Capability("cancel_task", "any", "exact", ("scheduled", "queued", "retrying"), "Takes the job out of its queue or registry at once."),
    Capability("terminate_task", "worker", "best_effort", ("running",), "Needs a worker that forks: the work horse is killed."),
    Capability("edit_task", "any", "exact", note="Enqueues the stored job again with other arguments, under a new ID."),
    Capability("restore_task", "any", "exact", note="Enqueues the stored job again behind the queued tasks, or schedules it for its time."),
    Capability(
        "run_task",
        "any",
        "exact",
        note="A task that the application has enqueued, decorated with @job, or offered in install(functions=…).",
    ),
    Capability(
        "release_task", "any", "exact", ("scheduled", "retrying"), "Removes it from the schedule and places it behind the queued tasks."
    ),
    Capability("move_task", "any", "exact", ("queued",), "Atomically, unless a worker has taken it."),
    Capability("prioritise_task", "any", "exact", ("queued",), "Only to the front: RQ has no other order."),
    Capability("lookup_task", "any", "exact"),
    Capability(
        "inspect_task", "worker", "exact", ("running",), "File, line and function; nothing is interrupted. Work horses: with Z4J_STACKS=1."
    ),
    Capability("peek_queue", "any", "exact"),
    Capability("purge_queue", "any", "exact", note="Tasks that a worker has fetched are not affected."),
    Capability("pause_queue", "worker", "exact", note="In one Redis: for every worker of the host and user that reports to this app."),
    Capability("resume_queue", "worker", "exact"),
    Capability("shutdown_worker", "worker", "exact", note="A warm shutdown: the running task finishes."),
)


class RqAdapter(TaskCommands, QueueCommands, PauseCommands, WorkerCommands, Reconcile, Discovery, Doctor):
    """`capture` has the hooks; all other methods run in the agent's thread."""

    capabilities: ClassVar[tuple[Capability, ...]] = ABLE

    def __init__(self, process: None = None, functions: Iterable[Any] = ()) -> None:
        self.state = RqState()
        self.watch(process, functions)
        self.capture = Capture(self.state, self._is_ready)
        self.schedulers = (RqScheduler(self.state), RqCron(self.state))  # each checks at `install` whether its library is present

    def _is_ready(self) -> None:
        """Called before the agent connects: a worker without work horses cannot stop a task, so it does not declare that."""
        able = any(can_terminate(worker) for worker in self.state.workers())
        self.narrow(() if able else ("terminate_task",))

    def runs_in_children(self) -> bool:
        return any(can_terminate(worker) for worker in self.state.workers())

    def engine_version(self) -> str:
        return str(VERSION)

    def watch(self, _process: None, functions: Iterable[Any]) -> None:
        """Adds functions that operators may run. All queues and workers of the process are monitored already."""
        self.state.known.offer(functions)

    def install(self) -> None:
        self.capture.connect()

    def uninstall(self) -> None:
        self.capture.disconnect()

    def brokers(self) -> Mapping[str, str]:
        return self.state.known.brokers()

    def knows_task(self, name: str) -> bool:
        return self.state.known.knows_task(name)

    def knows_queue(self, queue: str) -> bool:
        return self.state.known.knows_queue(queue, self.only)
