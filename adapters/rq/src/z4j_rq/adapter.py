# SPDX-License-Identifier: Apache-2.0
"""What z4j may know of and ask of RQ in this process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from rq.version import VERSION

from z4j_agent.contract.adapter import Capability
from z4j_rq.capture import Capture
from z4j_rq.commands import TaskCommands, can_terminate
from z4j_rq.control import WorkerCommands
from z4j_rq.discovery import Discovery
from z4j_rq.doctor import Doctor
from z4j_rq.reconcile import Reconcile
from z4j_rq.schedulers.rqcron import RqCron
from z4j_rq.schedulers.rqscheduler import RqScheduler
from z4j_rq.state import RqState
from z4j_rq.waiting import QueueCommands

ABLE = (
    Capability("retry_task", "any", "exact", note="Enqueues the kept job again under a new id, linked to this task."),
    Capability("cancel_task", "any", "exact", ("scheduled", "queued", "retrying"), "Takes the job out of its queue or registry at once."),
    Capability("terminate_task", "worker", "best_effort", ("running",), "Needs a worker that forks: the work horse is killed."),
    Capability("edit_task", "any", "exact", note="Enqueues the kept job again with other arguments, under a new id."),
    Capability("restore_task", "any", "exact", note="Puts the kept job back behind what waits, or back to wait for its time."),
    Capability(
        "run_task",
        "any",
        "exact",
        note="A task that the application has enqueued, decorated with @job, or offered in install(functions=…).",
    ),
    Capability("release_task", "any", "exact", ("scheduled", "retrying"), "Takes it out of the schedule and puts it behind what waits."),
    Capability("move_task", "any", "exact", ("queued",), "In one step, unless a worker was first."),
    Capability("prioritise_task", "any", "exact", ("queued",), "Only to the front: RQ knows no other order."),
    Capability("lookup_task", "any", "exact"),
    Capability("peek_queue", "any", "exact"),
    Capability("purge_queue", "any", "exact", note="What a worker has already is not touched."),
    Capability("pause_queue", "worker", "exact", note="In one Redis: every worker of the host and user that reports to this app holds."),
    Capability("resume_queue", "worker", "exact"),
    Capability("shutdown_worker", "worker", "exact", note="A warm shutdown: it finishes what it runs."),
)


class RqAdapter(TaskCommands, QueueCommands, WorkerCommands, Reconcile, Discovery, Doctor):
    """`capture` holds the wrappers; everything else is asked in the agent's thread."""

    capabilities: ClassVar[tuple[Capability, ...]] = ABLE

    def __init__(self, process: None = None, functions: Iterable[Any] = ()) -> None:
        self.state = RqState()
        self.watch(process, functions)
        self.capture = Capture(self.state, self._is_ready)
        self.schedulers = (RqScheduler(self.state), RqCron(self.state))  # each finds out at `install` whether its library is there

    def _is_ready(self) -> None:
        """Called before the agent connects: a worker without horses cannot stop a task, so it does not say it could."""
        able = any(can_terminate(worker) for worker in self.state.workers())
        self.narrow(() if able else ("terminate_task",))

    def engine_version(self) -> str:
        return str(VERSION)

    def watch(self, _process: None, functions: Iterable[Any]) -> None:
        """This process, which has all of RQ's queues and workers, is watched anyhow; operators may run these functions, too."""
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
