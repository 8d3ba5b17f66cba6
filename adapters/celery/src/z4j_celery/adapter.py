# SPDX-License-Identifier: Apache-2.0
"""What z4j may know of and ask of the Celery apps of a process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import celery

from z4j_agent import green
from z4j_agent.adapter import Adapter, Capability, Finding, Original, QueueInfo, Refused, RunningTask, TaskInfo, WaitingTask, WorkerInfo
from z4j_agent.holds import own_holds
from z4j_celery import apps, commands, control, destinations, discovery, doctor, queues, reconcile, waiting
from z4j_celery.capture import Capture
from z4j_celery.schedules import CeleryBeat


class CeleryAdapter(Adapter):
    """One for all apps of a process; at most one of them is the worker's. Everything but the hooks is asked in the agent's thread."""

    engine: ClassVar[str] = "celery"
    capabilities: ClassVar[tuple[Capability, ...]] = (
        Capability("retry_task", "any", "exact", note="Sends the kept message again under a new id, linked to this task."),
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
        Capability("move_task", "any", "exact", ("scheduled", "queued"), "Of what no worker has fetched; on Redis and RabbitMQ."),
        Capability("prioritise_task", "any", "exact", ("queued",), "On Redis, and on RabbitMQ queues declared with x-max-priority."),
        Capability("release_task", "worker", "exact", ("scheduled", "retrying"), "By the worker that holds it, or while nobody does."),
        Capability("lookup_task", "any", "best_effort", note="Its result backend knows, and a Redis broker."),
        Capability("peek_queue", "any", "exact", note="On RabbitMQ what was looked at is marked as redelivered."),
        Capability("purge_queue", "any", "exact", note="What a worker has fetched in advance is not in the queue any more."),
        Capability("pause_queue", "worker", "exact", note="What a worker has fetched in advance still runs."),
        Capability("resume_queue", "worker", "exact"),
        Capability("shutdown_worker", "worker", "exact", note="Warm: finishes what it runs."),
        Capability("restart_worker", "worker", "best_effort", note="The pool alone with worker_pool_restarts, else the whole worker."),
        Capability("resize_worker", "worker", "exact", note="Prefork, gevent and eventlet; forgotten at the next start."),
        Capability("consume_queue", "worker", "exact", note="Forgotten at the next start."),
        Capability("leave_queue", "worker", "exact", note="Forgotten at the next start."),
        Capability("limit_name", "worker", "exact", note="In this worker, until it is restarted."),
    )

    def __init__(self, app: Any) -> None:
        self.captures = [self._capture_of(app)]
        self.schedulers = (CeleryBeat(lambda: [capture.app for capture in self.captures], self._ask),)
        self._is_installed = False

    def _capture_of(self, app: Any) -> Capture:
        return Capture(app, self._is_ready)

    def _is_ready(self, consumer: Any) -> None:
        """Called before the agent connects: what this worker's pool or broker cannot do is not declared by this process."""
        unable = set() if commands.can_terminate(consumer.pool) else {"terminate_task"}
        if not control.can_resize(consumer.pool):
            unable.add("resize_worker")
        if waiting.driver_of(consumer.app) not in ("redis", "amqp"):
            unable |= {"move_task", "prioritise_task", "peek_queue", "purge_queue"}
        vars(self)["capabilities"] = tuple(able for able in type(self).capabilities if able.action not in unable)
        control.hold_again(next(capture for capture in self.captures if capture.consumer is consumer))

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
        for scheduler in self.schedulers:
            scheduler.uninstall()
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
        serving = self._serving()
        captures = [capture for capture in self.captures if capture.app in serving]
        return queues.together(queue for capture in captures for queue in queues.list_queues(capture.app, capture.known_queues()))

    def _serving(self) -> list[Any]:
        return [self._first.app] if self._first.consumer is not None else self._apps

    def knows_task(self, name: str) -> bool:
        return any(destinations.knows_task(app, name) for app in self._apps)

    def knows_queue(self, queue: str) -> bool:
        return any(capture.knows_queue(queue) for capture in self.captures)

    def worker(self) -> WorkerInfo | None:
        return discovery.describe_worker(self._first.consumer, self.findings())

    def list_running(self) -> list[RunningTask]:
        first = self._first
        return discovery.list_running(first.consumer, first.queue_in, first.received_requests()) if first.consumer is not None else []

    def findings(self) -> list[Finding]:
        return doctor.findings(self._serving(), self._first.consumer)

    # -- what operators ask --------------------------------------------------------------------------------------------
    def retry_task(self, original: Original, *, new_id: str) -> dict[str, Any]:
        return self._ask(lambda: commands.retry_task(self._app_of(original), original, new_id))

    def read_arguments(self, original: Original) -> tuple[list[Any], dict[str, Any]]:
        return commands.read_arguments(self._app_of(original), original)

    def edit_task(self, original: Original, args: list[Any], kwargs: dict[str, Any], *, new_id: str) -> dict[str, Any]:
        return self._ask(lambda: commands.edit_task(self._app_of(original), original, args, kwargs, new_id))

    def restore_task(self, original: Original, *, new_id: str, eta_at: int | None, priority: int | None) -> dict[str, Any]:
        return self._ask(lambda: commands.restore_task(self._app_of(original), original, new_id, eta_at, priority))

    def run_task(self, name: str, args: list[Any], kwargs: dict[str, Any], *, new_id: str, queue: str) -> dict[str, Any]:
        app = next((app for app in self._apps if name in app.tasks), self._first.app)
        return self._ask(lambda: commands.run_task(app, name, args, kwargs, new_id, queue))

    def cancel_task(self, task_id: str) -> dict[str, Any]:
        return self._ask(lambda: commands.cancel_task(self._first.app, self._first.consumer, task_id))

    def terminate_task(self, task_id: str) -> dict[str, Any]:
        return self._ask(lambda: commands.terminate_task(self._first.app, self._first.consumer, task_id))

    def move_task(self, task_id: str, queue: str) -> dict[str, Any]:
        return self._in_first_app(lambda app, known: waiting.move_task(app, task_id, queue, known, self.waits_in))

    def prioritise_task(self, task_id: str, level: str) -> dict[str, Any]:
        return self._in_first_app(lambda app, known: waiting.prioritise_task(app, task_id, level, known, self.waits_in))

    def release_task(self, task_id: str) -> dict[str, Any]:
        """Not within gevent's hub: there the worker's own greenlet must go on to carry it out."""
        return control.release_held(self._first, task_id) or self._in_first_app(
            lambda app, known: waiting.release_task(app, task_id, known, self.waits_in)
        )

    def lookup_task(self, task_id: str) -> dict[str, Any]:
        return self._ask(lambda: reconcile.lookup_task(self._apps_and_queues(), self._first.consumer, task_id))

    def peek_queue(self, queue: str, place: str, limit: int) -> list[WaitingTask]:
        return green.ask(self._hub, lambda: waiting.peek_queue(self._app_with(queue), queue, place, limit))

    def purge_queue(self, queue: str, place: str) -> dict[str, Any]:
        return self._ask(lambda: waiting.purge_queue(self._app_with(queue), queue, place))

    def pause_queue(self, queue: str) -> dict[str, Any]:
        return control.pause_queue(self._first, queue)

    def resume_queue(self, queue: str) -> dict[str, Any]:
        return control.resume_queue(self._first, queue)

    def list_paused(self) -> list[str]:
        return sorted(own_holds(self.engine).queues())

    def consume_queue(self, queue: str) -> dict[str, Any]:
        return control.consume_queue(self._first, queue)

    def leave_queue(self, queue: str) -> dict[str, Any]:
        return control.leave_queue(self._first, queue)

    def shutdown_worker(self) -> dict[str, Any]:
        return control.shutdown_worker(self._first)

    def restart_worker(self) -> dict[str, Any]:
        return control.restart_worker(self._first)

    def resize_worker(self, by: int) -> dict[str, Any]:
        return self._ask(lambda: control.resize_worker(self._first, by))

    def limit_name(self, name: str, rate: str | None, soft_s: float | None, hard_s: float | None) -> dict[str, Any]:
        return control.limit_name(self._first, name, rate, soft_s, hard_s)

    def _app_of(self, original: Original) -> Any:
        return apps.choose(self._apps, str(original.data.get("app", "")))

    def _app_with(self, queue: str) -> Any:
        return next((app for app in self._apps if queue in app.amqp.queues), self._first.app)

    def _apps_and_queues(self) -> list[tuple[Any, list[str]]]:
        """Every app of this process with the queues it is known to use."""
        known = {id(capture.app): capture.known_queues() for capture in self.captures}
        return [(app, known.get(id(app), [])) for app in self._apps]

    def _in_first_app(self, do: Callable[[Any, list[str]], dict[str, Any]]) -> dict[str, Any]:
        """In the first of this process's apps whose broker has the task."""
        refused: Refused | None = None
        for app, known in self._apps_and_queues():
            try:
                return self._ask(lambda app=app, known=known: do(app, known))  # type: ignore[misc]
            except Refused as error:
                refused = refused or error
        raise refused or Refused("no app is watched in this process any more")

    def _ask(self, do: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """In a greenlet where this process's sockets are gevent's."""
        return green.ask(self._hub, do)

    @property
    def _hub(self) -> Any:
        return next((capture.hub for capture in self.captures if capture.hub is not None), None)
