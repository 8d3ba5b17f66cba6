# SPDX-License-Identifier: Apache-2.0
"""What z4j may know of and ask of the Celery apps of a process."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import celery

import z4j_agent
from z4j_agent import green
from z4j_agent.adapter import Adapter, Capability, Finding, Original, QueueInfo, Refused, RunningTask, TaskInfo, WaitingTask, WorkerInfo
from z4j_celery import apps, commands, control, destinations, discovery, doctor, queues, reconcile, waiting
from z4j_celery.broker import driver_of
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
        self._broker = ""
        """The one broker that commands look into, "" for all of this process."""

    def _capture_of(self, app: Any) -> Capture:
        return Capture(app, self._is_ready)

    def _is_ready(self, consumer: Any) -> None:
        """Called before the agent connects: what this worker's pool or broker cannot do is not declared by this process."""
        unable = set() if commands.can_terminate(consumer.pool) else {"terminate_task"}
        if not control.can_resize(consumer.pool):
            unable.add("resize_worker")
        if driver_of(consumer.app) not in ("redis", "amqp"):
            unable |= {"move_task", "prioritise_task", "peek_queue", "purge_queue"}
        self.narrow(unable)
        control.hold_again(next(capture for capture in self.captures if capture.consumer is consumer))

    @property
    def _first(self) -> Capture:
        """The worker's app, else the one that was installed first."""
        return next((capture for capture in self.captures if capture.consumer is not None), self.captures[0])

    def _asked(self) -> list[Capture]:
        """Those a command may concern, the worker's in front."""
        first = self._first
        ordered = [first, *(capture for capture in self.captures if capture is not first)]
        return [capture for capture in ordered if self._broker in ("", apps.identity_of(capture.app))]

    @property
    def _apps(self) -> list[Any]:
        return [capture.app for capture in self._asked()]

    # -- brokers -------------------------------------------------------------------------------------------------------
    def brokers(self) -> Mapping[str, str]:
        agent = z4j_agent.current()
        told = agent.fingerprints if agent is not None else {}
        return {identity: told.get(identity, "") for app in self._apps if (identity := apps.identity_of(app))}

    def of_broker(self, broker: str) -> CeleryAdapter:
        if broker == self._broker:
            return self
        beside = copy.copy(self)
        beside._broker = broker
        return beside

    # -- the hooks -----------------------------------------------------------------------------------------------------
    def install(self) -> None:
        for capture in self.captures:
            apps.watch(capture.app)
            capture.connect()

    def watch(self, app: Any) -> None:
        """A further app of this process. Nothing happens when it is watched already."""
        if all(capture.app is not app for capture in self.captures):
            capture = self._capture_of(app)
            self.captures.append(capture)
            apps.watch(app)
            capture.connect()

    def unwatch(self, app: Any) -> None:
        for capture in [capture for capture in self.captures if capture.app is app]:
            capture.disconnect()
            apps.forget(app)
            self.captures.remove(capture)

    def uninstall(self) -> None:
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
        return queues.list_queues([(capture.app, capture.known_queues()) for capture in self._asked()])

    def _serving(self) -> list[Any]:
        return [self._first.app] if self._first.consumer is not None else self._apps

    def knows_task(self, name: str) -> bool:
        return any(destinations.knows_task(app, name) for app in self._apps)

    def knows_queue(self, queue: str) -> bool:
        return any(capture.knows_queue(queue) for capture in self._asked())

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
        return self._ask(lambda: commands.run_task(self._app_for(name, queue), name, args, kwargs, new_id, queue))

    def _app_for(self, name: str, queue: str) -> Any:
        able = [app for app in self._apps if name in app.tasks]
        declaring = [app for app in able if queue and queue in app.amqp.queues]
        return apps.the_one(declaring or able or [self._first.app])

    def cancel_task(self, task_id: str) -> dict[str, Any]:
        return self._ask(lambda: commands.cancel_task(self._first.app, self._worker_with(task_id), task_id))

    def terminate_task(self, task_id: str) -> dict[str, Any]:
        return self._ask(lambda: commands.terminate_task(self._first.app, self._worker_with(task_id), task_id))

    def _worker_with(self, task_id: str) -> Any:
        """This process's worker, None where there is none. Raises Refused where the task is not known to be of the worker's broker."""
        first = self._first
        if first.consumer is None or reconcile.is_held(task_id):
            return first.consumer
        if first not in self._asked():
            raise Refused("the worker of this process has another broker than the task; ask a worker of its broker", check="broker.unknown")
        if len({apps.place_of(app) for app in self._apps}) > 1:
            holding = [app for app, known in self._apps_and_queues() if reconcile.is_waiting(app, known, task_id)]
            if not holding or apps.the_one(holding) is not first.app:
                raise Refused(
                    "this process has several brokers, and it is not known that the worker's has this task; nothing was changed",
                    check="broker.unknown",
                )
        return first.consumer

    def move_task(self, task_id: str, queue: str) -> dict[str, Any]:
        return self._in_first_app(lambda app, known: self._moved(app, task_id, queue, known), task_id)

    def _moved(self, app: Any, task_id: str, queue: str, known: list[str]) -> dict[str, Any]:
        """Within one broker: a queue that only an app with another broker uses is not there."""
        using = {apps.place_of(capture.app) for capture in self.captures if capture.knows_queue(queue)}
        if using and apps.place_of(app) not in using:
            raise Refused(f"{queue[:80]} is in another broker; nothing was changed", check="queue.unknown")
        return waiting.move_task(app, task_id, queue, known, self.waits_in)

    def prioritise_task(self, task_id: str, level: str) -> dict[str, Any]:
        return self._in_first_app(lambda app, known: waiting.prioritise_task(app, task_id, level, known, self.waits_in), task_id)

    def release_task(self, task_id: str) -> dict[str, Any]:
        """Not within gevent's hub: there the worker's own greenlet must go on to carry it out."""
        held = control.release_held(self._first, task_id) if self._first in self._asked() else None
        return held or self._in_first_app(lambda app, known: waiting.release_task(app, task_id, known, self.waits_in), task_id)

    def lookup_task(self, task_id: str) -> dict[str, Any]:
        consumer = self._first.consumer if self._first in self._asked() else None
        return self._ask(lambda: reconcile.lookup_task(self._apps_and_queues(), consumer, task_id))

    def peek_queue(self, queue: str, place: str, limit: int) -> list[WaitingTask]:
        return green.ask(self._hub, lambda: waiting.peek_queue(self._app_with(queue), queue, place, limit))

    def purge_queue(self, queue: str, place: str) -> dict[str, Any]:
        return self._ask(lambda: waiting.purge_queue(self._app_with(queue), queue, place))

    def pause_queue(self, queue: str) -> dict[str, Any]:
        return control.pause_queue(self._first, queue, self._broker)

    def resume_queue(self, queue: str) -> dict[str, Any]:
        return control.resume_queue(self._first, queue, self._broker)

    def consume_queue(self, queue: str) -> dict[str, Any]:
        return control.consume_queue(self._first, queue)

    def leave_queue(self, queue: str) -> dict[str, Any]:
        return control.leave_queue(self._first, queue)

    def shutdown_worker(self) -> dict[str, Any]:
        return control.shutdown_worker(self._first)

    def restart_worker(self) -> dict[str, Any]:
        return control.restart_worker(self._first)

    def resize_worker(self, by: int) -> dict[str, Any]:
        return control.resize_worker(self._first, by)  # waits for the thread of the worker, so not in a greenlet of it

    def limit_name(self, name: str, rate: str | None, soft_s: float | None, hard_s: float | None) -> dict[str, Any]:
        return control.limit_name(self._first, name, rate, soft_s, hard_s)

    def _app_of(self, original: Original) -> Any:
        own = [app for app in self._apps if original.broker in ("", apps.identity_of(app))]
        return apps.choose(own, str(original.data.get("app", "")), original.queue, is_sure=bool(original.broker) and original.is_bound)

    def _app_with(self, queue: str) -> Any:
        return apps.the_one([app for app in self._apps if queue in app.amqp.queues] or [self._first.app])

    def _apps_and_queues(self) -> list[tuple[Any, list[str]]]:
        """Every app a command may concern with the queues it is known to use."""
        return [(capture.app, capture.known_queues()) for capture in self._asked()]

    def _in_first_app(self, do: Callable[[Any, list[str]], dict[str, Any]], task_id: str) -> dict[str, Any]:
        """In the first of this process's apps whose broker has the task. Raises Refused where several have it."""
        asked = self._apps_and_queues()
        if len({apps.place_of(app) for app, _ in asked}) > 1:
            holding = [(app, known) for app, known in asked if self._is_there(app, known, task_id)]
            if holding:
                apps.the_one([app for app, _ in holding])
                asked = holding[:1]
        refused: Refused | None = None
        for app, known in asked:
            try:
                return self._ask(lambda app=app, known=known: do(app, known))  # type: ignore[misc]
            except Refused as error:
                refused = refused or error
        raise refused or Refused("no app is watched in this process any more")

    def _is_there(self, app: Any, known: list[str], task_id: str) -> bool:
        return bool(self._ask(lambda: {"is_there": waiting.is_there(app, task_id, known)})["is_there"])

    def _ask(self, do: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """In a greenlet where this process's sockets are gevent's."""
        return green.ask(self._hub, do)

    @property
    def _hub(self) -> Any:
        return next((capture.hub for capture in self.captures if capture.hub is not None), None)
