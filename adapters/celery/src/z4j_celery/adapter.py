# SPDX-License-Identifier: Apache-2.0
"""What z4j may know of and ask of the Celery apps of a process."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import celery

from z4j_agent import green
from z4j_agent.adapter import Adapter, Capability, Finding, Original, QueueInfo, RunningTask, TaskInfo, WorkerInfo
from z4j_celery import apps, commands, discovery, doctor, queues, reconcile
from z4j_celery.capture import Capture


class CeleryAdapter(Adapter):
    """One for all apps of a process; at most one of them is the worker's. Everything but the hooks is asked in the agent's thread."""

    engine: ClassVar[str] = "celery"
    capabilities: ClassVar[tuple[Capability, ...]] = (
        Capability("retry_task", "any", "exact", note="Sends the kept message again under a new id, linked to this task."),
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
            "Prefork ends the child process, gevent and eventlet the greenlet; threads and solo cannot.",
        ),
    )

    def __init__(self, app: Any) -> None:
        self.captures = [self._capture_of(app)]
        self._is_installed = False

    def _capture_of(self, app: Any) -> Capture:
        return Capture(app, self._is_ready)

    def _is_ready(self, consumer: Any) -> None:
        """Called before the agent connects: what this worker's pool cannot do is not declared by this process."""
        if not commands.can_terminate(consumer.pool):
            vars(self)["capabilities"] = tuple(able for able in type(self).capabilities if able.action != "terminate_task")

    @property
    def _first(self) -> Capture:
        """The worker's app, else the one that was installed first."""
        return next((capture for capture in self.captures if capture.consumer is not None), self.captures[0])

    @property
    def _apps(self) -> list[Any]:
        first = self._first
        return [first.app, *(capture.app for capture in self.captures if capture is not first)]

    # -- the hooks -----------------------------------------------------------------------------------------------------
    def install(self) -> None:
        self._is_installed = True
        for capture in self.captures:
            apps.watch(capture.app)
            capture.connect()

    def watch(self, app: Any) -> None:
        """A further app of this process."""
        capture = self._capture_of(app)
        self.captures.append(capture)
        if self._is_installed:
            apps.watch(app)
            capture.connect()

    def unwatch(self, app: Any) -> None:
        for capture in [capture for capture in self.captures if capture.app is app]:
            capture.disconnect()
            apps.forget(app)
            if len(self.captures) > 1:
                self.captures.remove(capture)

    def uninstall(self) -> None:
        self._is_installed = False
        for capture in self.captures:
            capture.disconnect()
            apps.forget(capture.app)

    # -- what is there -------------------------------------------------------------------------------------------------
    def engine_version(self) -> str:
        return str(celery.__version__)

    def list_tasks(self) -> list[TaskInfo]:
        found: dict[str, TaskInfo] = {}
        for app in self._serving():
            for task in discovery.list_tasks(app):
                found.setdefault(task.name, task)
        return list(found.values())

    def list_queues(self) -> list[QueueInfo]:
        """A worker speaks of its own app's queues; a producer of all, and queues of one name in several brokers are one."""
        return queues.together(queue for app in self._serving() for queue in queues.list_queues(app, self._first.consumer))

    def _serving(self) -> Iterable[Any]:
        return [self._first.app] if self._first.consumer is not None else self._apps

    def worker(self) -> WorkerInfo | None:
        return discovery.describe_worker(self._first.consumer, self.findings())

    def list_running(self) -> list[RunningTask]:
        consumer = self._first.consumer
        return discovery.list_running(consumer) if consumer is not None else []

    def findings(self) -> list[Finding]:
        return doctor.findings(self._serving(), self._first.consumer)

    # -- what operators ask --------------------------------------------------------------------------------------------
    def retry_task(self, original: Original, *, new_id: str) -> dict[str, Any]:
        app = apps.choose(self._apps, str(original.data.get("app", "")))
        return green.ask(self._hub, lambda: commands.retry_task(app, original, new_id))

    def cancel_task(self, task_id: str) -> dict[str, Any]:
        first = self._first
        return green.ask(self._hub, lambda: commands.cancel_task(first.app, first.consumer, task_id))

    def terminate_task(self, task_id: str) -> dict[str, Any]:
        first = self._first
        return green.ask(self._hub, lambda: commands.terminate_task(first.app, first.consumer, task_id))

    def lookup_task(self, task_id: str) -> dict[str, Any]:
        return green.ask(self._hub, lambda: reconcile.lookup_task(self._apps, self._first.consumer, task_id))

    @property
    def _hub(self) -> Any:
        return next((capture.hub for capture in self.captures if capture.hub is not None), None)
