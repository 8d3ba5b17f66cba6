# SPDX-License-Identifier: Apache-2.0
"""Commands for tasks, executed with Celery's own API in this process, so they also work without remote control."""

from __future__ import annotations

import signal
from datetime import UTC, datetime
from typing import Any

from celery.backends.base import BaseKeyValueStoreBackend
from celery.concurrency.base import BasePool
from celery.utils.collections import AttributeDict
from celery.worker import state as worker_state
from kombu.serialization import dumps

import z4j_agent
from z4j_agent.capture.guard import faults, let_through
from z4j_agent.commands.edits import is_editable
from z4j_agent.contract.adapter import Original, Refused, Unsupported
from z4j_agent.wire import records
from z4j_celery import apps, originals, reconcile
from z4j_celery.brokers.destinations import check_destination
from z4j_celery.messages import ENGINE, now, queue_of, repeats, sent_meta, to_us
from z4j_celery.state import CeleryPart, in_hub

EXPIRED = "Its expiry has passed, so it was sent without one."
NO_CHORD = "It was a member of a chord and was sent on its own: the chord's callback is not called a second time."


def _publish(
    app: Any, original: Original, new_id: str, body: str | bytes, eta_at: int | None = None, priority: int | None = None
) -> dict[str, Any]:
    """`eta_at` in microseconds UTC, `priority` on the broker's own scale."""
    data = original.data
    queue = original.queue or str(data.get("key", "")) or str(app.conf.task_default_queue)
    exchange, key = _address(original, queue)
    check_destination(app, exchange, key, queue, is_bound=original.is_bound)
    check_new_id(app, new_id)
    expires = to_us(data.get("expires"))
    is_expired = expires is not None and expires <= max(now(), eta_at or 0)
    headers = {
        "timelimit": [None, None],
        **data.get("headers", {}),
        "lang": "py",
        "task": original.name,
        "id": new_id,
        "root_id": new_id,
        "parent_id": None,
        "retries": 0,
        "eta": None if eta_at is None else datetime.fromtimestamp(eta_at / 1_000_000, UTC).isoformat(),
        "expires": None if is_expired else data.get("expires"),
    }
    properties = _properties(app, original, new_id, priority)
    priority = properties.get("priority")
    at = now()
    with app.producer_pool.acquire(block=True, timeout=5) as producer:
        producer.publish(
            originals.without_mark(data, body),
            exchange=exchange,
            routing_key=key,
            content_type=str(data.get("type", originals.JSON)),
            content_encoding=str(data.get("encoding", originals.UTF8)),
            headers=headers,
            retry=True,
            retry_policy={"max_retries": 2, "interval_start": 0.1},
            **properties,
        )
    agent = z4j_agent.current()
    if agent is not None:
        meta = sent_meta(headers, new_id, priority, original.task_id)
        agent.append(records.enqueued(ENGINE, new_id, 0, at, agent.run, original.name, queue, eta=eta_at, meta=meta))
    return {"task_id": new_id, "queue": queue} | ({"note": EXPIRED} if is_expired else {})


def _address(original: Original, queue: str) -> tuple[str, str]:
    """(exchange, routing key): the original's own, or the queue if the message had none or was moved."""
    data = original.data
    exchange, key = str(data.get("exchange", "")), str(data.get("key", ""))
    if not exchange or (original.is_bound and queue != str(data.get("queue", queue_of(exchange, key)))):
        return "", queue
    return exchange, key


def _properties(app: Any, original: Original, new_id: str, priority: int | None) -> dict[str, Any]:
    """Properties of the new message: those of the original, except those that the command changes."""
    stored = original.data.get("properties")
    properties = dict(stored) if isinstance(stored, dict) else {}
    declared = app.amqp.queues.get(original.queue)
    mode = getattr(getattr(declared, "exchange", None), "delivery_mode", None) or app.conf.task_default_delivery_mode
    default = {"delivery_mode": _mode(mode), "correlation_id": new_id}
    return default | properties | ({} if priority is None else {"priority": priority})


def _mode(configured: Any) -> int:
    return {"transient": 1, "persistent": originals.PERSISTENT}.get(configured, configured) or originals.PERSISTENT


def check_new_id(app: Any, new_id: str) -> None:
    """Raises Refused if the result backend contains a result under that ID: the new task's result would overwrite it."""
    backend = app.backend
    if isinstance(backend, BaseKeyValueStoreBackend) and backend.get(backend.get_key_for_task(new_id)):
        raise Refused(f"a result is already stored under the ID {new_id}. Nothing was sent.", check="task_id.exists")


def _send_by_name(app: Any, original: Original, new_id: str, args: Any, kwargs: Any, *, note: str) -> dict[str, Any]:
    """Sends a new message; the publishing hooks report it."""
    check_destination(app, "", "", original.queue)
    check_new_id(app, new_id)
    properties = {name: value for name, value in _properties(app, original, new_id, None).items() if name != "correlation_id"}
    with repeats(original.task_id):
        app.send_task(original.name, args, kwargs, task_id=new_id, root_id=new_id, queue=original.queue or None, **properties)
    return {"task_id": new_id, "queue": original.queue, "note": note}


def can_terminate(pool: Any) -> bool:
    """Whether this pool can stop one task: prefork with a signal, gevent with an exception, the others cannot.

    Eventlet has the method, but it must be called in the worker's own thread ("Cannot switch to a different thread").
    """
    if type(pool).__module__ == "celery.concurrency.eventlet":
        return False
    return getattr(pool.terminate_job, "__func__", None) is not BasePool.terminate_job


def panel() -> Any:
    """Returns the functions of Celery's remote control. Imported here: every worker has them, and a producer pays nothing for them."""
    from celery.worker.control import Panel

    return Panel.data


def state_of(app: Any, consumer: Any) -> Any:
    """Returns the state object that Celery's remote control commands take."""
    return AttributeDict(app=app, hostname=consumer.hostname, consumer=consumer, tset=set)


class TaskCommands(CeleryPart):
    """Commands for tasks."""

    @in_hub
    def retry_task(self, original: Original, *, new_id: str) -> dict[str, Any]:
        """Publishes the stored message again under `new_id`, without decoding it, so a signature over the body stays valid.

        The worker that takes it reports its arguments, as for any message whose producer is not monitored. Raises Refused.
        """
        app = self.app_of(original)
        if originals.is_chord_member(app, original.data):
            return _send_by_name(app, original, new_id, *originals.decode(app, original.data)[:2], note=NO_CHORD)
        return _publish(app, original, new_id, originals.body_of(original.data))

    @in_hub
    def restore_task(self, original: Original, *, new_id: str, eta_at: int | None, priority: int | None) -> dict[str, Any]:
        """Like `retry_task`, with its time and its priority; a member of a chord still counts towards the chord. Raises Refused."""
        app = self.app_of(original)
        return _publish(app, original, new_id, originals.body_of(original.data), eta_at, priority)

    def read_arguments(self, original: Original) -> tuple[list[Any], dict[str, Any]]:
        """Returns the stored message's arguments as JSON values. Raises Refused."""
        app = self.app_of(original)
        args, kwargs, _ = originals.decode(app, original.data)
        if not is_editable(args) or not is_editable(kwargs):
            raise Refused("its arguments are objects that cannot be written as text")
        return list(args), dict(kwargs)

    @in_hub
    def edit_task(self, original: Original, args: list[Any], kwargs: dict[str, Any], *, new_id: str) -> dict[str, Any]:
        """Like `retry_task`, with other arguments. Raises Refused."""
        app = self.app_of(original)
        data = original.data
        if originals.is_chord_member(app, data):
            return _send_by_name(app, original, new_id, args, kwargs, note=NO_CHORD)
        if data.get("type", originals.JSON) != originals.JSON:
            return _send_by_name(app, original, new_id, args, kwargs, note="Callbacks and the rest of the chain are not called.")
        body = dumps((args, kwargs, originals.decode(app, data)[2] or originals.NO_CALLBACKS), serializer="json")[2]
        return _publish(app, original, new_id, body)

    @in_hub
    def run_task(self, name: str, args: list[Any], kwargs: dict[str, Any], *, new_id: str, queue: str) -> dict[str, Any]:
        """Sends a registered task, by the application's own routing if no queue is given. Raises Refused."""
        able = [app for app in self.apps if name in app.tasks]
        declaring = [app for app in able if queue and queue in app.amqp.queues]
        app = apps.the_one(declaring or able or [self.first.app])
        task = app.tasks.get(name)
        if task is None:
            raise Refused(f"this application has no task {name}. Nothing was sent.")
        if app.conf.task_always_eager:
            raise Refused("this application runs tasks instead of sending them (task_always_eager). Nothing was sent.")
        check_new_id(app, new_id)
        sent = task.apply_async(args, kwargs, task_id=new_id, **({"queue": queue} if queue else {}))
        return {"task_id": str(sent.id), "queue": queue}

    @in_hub
    def cancel_task(self, task_id: str) -> dict[str, Any]:
        """Makes this worker and, by broadcast, the others drop the task when they receive it. They store that in memory only."""
        app, consumer = self.first.app, self._worker_with(task_id)
        if consumer is None:
            raise Unsupported("only a Celery worker can cancel a task, and this process is not one. No changes were made.")
        request = worker_state.requests.get(task_id)
        if request is not None and request.time_start:
            raise Refused("the task is already running; stop it instead. No changes were made.")
        panel()["revoke"](state_of(app, consumer), task_id=task_id, terminate=False)
        try:  # any worker of that queue may receive it first
            app.control.revoke(task_id)
        except Exception as error:
            let_through(error)
            faults.report("sending a cancellation to the other workers", error)
            return {"note": "it will not run in this worker; the broker could not deliver the cancellation to others"}
        return {"note": "no worker will run it; the task is reported as cancelled when a worker receives it"}

    @in_hub
    def terminate_task(self, task_id: str) -> dict[str, Any]:
        """Ends the child process that runs the task."""
        app, consumer = self.first.app, self._worker_with(task_id)
        if consumer is None:
            raise Unsupported("only the worker that runs a task can stop it. No changes were made.")
        if not can_terminate(consumer.pool):
            raise Unsupported("this worker's pool cannot stop a running task")
        request = worker_state.requests.get(task_id)
        if request is None or not request.time_start:
            raise Refused("the task does not run in this worker now. No changes were made.")
        panel()["revoke"](state_of(app, consumer), task_id=task_id, terminate=True, signal=signal.Signals.SIGTERM.name)
        return {"signal": "SIGTERM"}

    def _worker_with(self, task_id: str) -> Any:
        """This process's worker, None if it has none. Raises Refused if the task may belong to another broker than the worker's."""
        first = self.first
        if first.consumer is None or reconcile.is_reserved(task_id):
            return first.consumer
        if first not in self.states_in_scope():
            raise Refused(
                "the worker of this process has another broker than the task. No changes were made. "
                "Send the command to a worker of the task's broker.",
                check="broker.unknown",
            )
        if len({apps.broker_key_of(app) for app in self.apps}) > 1:
            holding = [state.app for state in self.states_in_scope() if reconcile.is_waiting(state.app, state.known_queues(), task_id)]
            if not holding or apps.the_one(holding) is not first.app:
                raise Refused(
                    "this process has several brokers, and whether the worker's broker has this task is unknown. No changes were made.",
                    check="broker.unknown",
                )
        return first.consumer
