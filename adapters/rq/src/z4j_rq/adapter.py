# SPDX-License-Identifier: Apache-2.0
"""What z4j may know of and ask of RQ in this process."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from rq.version import VERSION

import z4j_agent
from z4j_agent.adapter import Adapter, Capability, Finding, Original, QueueInfo, RunningTask, TaskInfo, WaitingTask, WorkerInfo
from z4j_rq import commands, control, discovery, doctor, queues, reconcile, waiting
from z4j_rq.capture import Capture
from z4j_rq.queues import View
from z4j_rq.rqcron import RqCron
from z4j_rq.rqscheduler import RqScheduler

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


class RqAdapter(Adapter):
    """`capture` holds the wrappers; everything else is asked in the agent's thread."""

    engine: ClassVar[str] = "rq"
    capabilities: ClassVar[tuple[Capability, ...]] = ABLE

    def __init__(self, process: None = None, functions: Iterable[Any] = ()) -> None:
        self.capture = Capture(self._is_ready)
        self.watch(process, functions)
        self.schedulers = (RqScheduler(self.capture), RqCron(self.capture))  # each finds out at `install` whether its library is there
        self._broker = ""
        """The one broker that is looked into, "" for all of this process."""

    def _is_ready(self) -> None:
        """Called before the agent connects: a worker without horses cannot stop a task, so it does not say it could."""
        able = any(commands.can_terminate(worker) for worker in self.capture.workers())
        self.narrow(() if able else ("terminate_task",))

    @property
    def _view(self) -> View:
        agent = z4j_agent.current()
        return View(self.capture, agent.settings if agent is not None else None, self._broker)

    def engine_version(self) -> str:
        return str(VERSION)

    def watch(self, _process: None, functions: Iterable[Any]) -> None:
        """This process, which has all of RQ's queues and workers, is watched anyhow; operators may run these functions, too."""
        self.capture.known.offer(functions)

    def install(self) -> None:
        self.capture.connect()

    def uninstall(self) -> None:
        self.capture.disconnect()

    def brokers(self) -> Mapping[str, str]:
        return self.capture.known.brokers()

    def of_broker(self, broker: str) -> RqAdapter:
        if broker == self._broker:
            return self
        beside = copy.copy(self)
        beside._broker = broker
        return beside

    def knows_task(self, name: str) -> bool:
        return self.capture.known.knows_task(name)

    def knows_queue(self, queue: str) -> bool:
        return self.capture.known.knows_queue(queue, self._broker)

    def list_tasks(self) -> list[TaskInfo]:
        return discovery.list_tasks(self.capture)

    def list_queues(self) -> list[QueueInfo]:
        return queues.list_queues(self.capture)

    def worker(self) -> WorkerInfo | None:
        return discovery.describe_worker(self.capture, self.findings())

    def list_running(self) -> list[RunningTask]:
        return discovery.list_running(self.capture)

    def findings(self) -> list[Finding]:
        return doctor.findings(self.capture)

    def retry_task(self, original: Original, *, new_id: str) -> dict[str, Any]:
        return commands.retry_task(self._view, original, new_id)

    def cancel_task(self, task_id: str) -> dict[str, Any]:
        return commands.cancel_task(self._view, task_id)

    def terminate_task(self, task_id: str) -> dict[str, Any]:
        return commands.terminate_task(self._view, task_id)

    def lookup_task(self, task_id: str) -> dict[str, Any]:
        return reconcile.lookup_task(self._view, task_id)

    def read_arguments(self, original: Original) -> tuple[list[Any], dict[str, Any]]:
        return commands.read_arguments(self._view, original)

    def edit_task(self, original: Original, args: list[Any], kwargs: dict[str, Any], *, new_id: str) -> dict[str, Any]:
        return commands.edit_task(self._view, original, args, kwargs, new_id)

    def restore_task(self, original: Original, *, new_id: str, eta_at: int | None, priority: int | None) -> dict[str, Any]:
        return commands.restore_task(self._view, original, new_id, eta_at)

    def run_task(self, name: str, args: list[Any], kwargs: dict[str, Any], *, new_id: str, queue: str) -> dict[str, Any]:
        return commands.run_task(self._view, name, args, kwargs, new_id, queue)

    def release_task(self, task_id: str) -> dict[str, Any]:
        return commands.release_task(self._view, task_id)

    def prioritise_task(self, task_id: str, level: str) -> dict[str, Any]:
        return commands.prioritise_task(self._view, task_id, level)

    def move_task(self, task_id: str, queue: str) -> dict[str, Any]:
        return commands.move_task(self._view, task_id, queue)

    def peek_queue(self, queue: str, place: str, limit: int) -> list[WaitingTask]:
        return waiting.peek_queue(self._view, queue, place, limit)

    def purge_queue(self, queue: str, place: str) -> dict[str, Any]:
        return waiting.purge_queue(self._view, queue, place)

    def pause_queue(self, queue: str) -> dict[str, Any]:
        return control.pause_queue(self.capture, queue, self._broker)

    def resume_queue(self, queue: str) -> dict[str, Any]:
        return control.resume_queue(self.capture, queue, self._broker)

    def shutdown_worker(self) -> dict[str, Any]:
        return control.shutdown_worker(self.capture)
