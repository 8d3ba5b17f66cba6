# SPDX-License-Identifier: Apache-2.0
"""What operators ask, done with Celery's own means and in this process, so it works without remote control too."""

from __future__ import annotations

import signal
from datetime import UTC, datetime
from typing import Any

from celery.backends.base import BaseKeyValueStoreBackend
from celery.concurrency.base import BasePool
from celery.utils.collections import AttributeDict
from celery.worker import state as worker_state
from celery.worker.control import Panel
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
NO_CHORD = "It was a member of a chord and ran again by itself: the chord's callback is not called a second time."


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
    """(exchange, routing key): the original's own, or the queue itself where the message had none or was moved."""
    data = original.data
    exchange, key = str(data.get("exchange", "")), str(data.get("key", ""))
    if not exchange or (original.is_bound and queue != str(data.get("queue", queue_of(exchange, key)))):
        return "", queue
    return exchange, key


def _properties(app: Any, original: Original, new_id: str, priority: int | None) -> dict[str, Any]:
    """How the message is delivered and answered: as the original was, but for what is asked otherwise."""
    stored = original.data.get("properties")
    properties = dict(stored) if isinstance(stored, dict) else {}
    declared = app.amqp.queues.get(original.queue)
    mode = getattr(getattr(declared, "exchange", None), "delivery_mode", None) or app.conf.task_default_delivery_mode
    default = {"delivery_mode": _mode(mode), "correlation_id": new_id}
    return default | properties | ({} if priority is None else {"priority": priority})


def _mode(configured: Any) -> int:
    return {"transient": 1, "persistent": originals.PERSISTENT}.get(configured, configured) or originals.PERSISTENT


def check_new_id(app: Any, new_id: str) -> None:
    """Raises Refused where the result backend holds something under that id: the new task's result would overwrite it."""
    backend = app.backend
    if isinstance(backend, BaseKeyValueStoreBackend) and backend.get(backend.get_key_for_task(new_id)):
        raise Refused(f"a result is stored under the id {new_id} already; nothing was sent", check="task_id.exists")


def _send_by_name(app: Any, original: Original, new_id: str, args: Any, kwargs: Any, *, note: str) -> dict[str, Any]:
    """As a message of its own; the hooks of publishing report it."""
    check_destination(app, "", "", original.queue)
    check_new_id(app, new_id)
    properties = {name: value for name, value in _properties(app, original, new_id, None).items() if name != "correlation_id"}
    with repeats(original.task_id):
        app.send_task(original.name, args, kwargs, task_id=new_id, root_id=new_id, queue=original.queue or None, **properties)
    return {"task_id": new_id, "queue": original.queue, "note": note}


def can_terminate(pool: Any) -> bool:
    """Whether this pool can stop one task: prefork by a signal, gevent by an exception, the others not at all.

    Eventlet has the method, but it must be called in the worker's own thread ("Cannot switch to a different thread").
    """
    if type(pool).__module__ == "celery.concurrency.eventlet":
        return False
    return getattr(pool.terminate_job, "__func__", None) is not BasePool.terminate_job


def state_of(app: Any, consumer: Any) -> Any:
    """What Celery's own commands of remote control take."""
    return AttributeDict(app=app, hostname=consumer.hostname, consumer=consumer, tset=set)


class TaskCommands(CeleryPart):
    """What may be asked of a task."""

    @in_hub
    def retry_task(self, original: Original, *, new_id: str) -> dict[str, Any]:
        """Publishes the kept message again under `new_id`, without decoding it, so a signature over the body stays valid.

        The worker that takes it reports its arguments, as of any message whose producer is not watched. Raises Refused.
        """
        app = self.app_of(original)
        if originals.is_chord_member(app, original.data):
            return _send_by_name(app, original, new_id, *originals.decode(app, original.data)[:2], note=NO_CHORD)
        return _publish(app, original, new_id, originals.body_of(original.data))

    @in_hub
    def restore_task(self, original: Original, *, new_id: str, eta_at: int | None, priority: int | None) -> dict[str, Any]:
        """The same, at its time and with its priority; a member of a chord counts, as it has not yet. Raises Refused."""
        app = self.app_of(original)
        return _publish(app, original, new_id, originals.body_of(original.data), eta_at, priority)

    def read_arguments(self, original: Original) -> tuple[list[Any], dict[str, Any]]:
        """The kept message's arguments as JSON holds them. Raises Refused."""
        app = self.app_of(original)
        args, kwargs, _ = originals.decode(app, original.data)
        if not is_editable(args) or not is_editable(kwargs):
            raise Refused("its arguments are objects that cannot be written as text")
        return list(args), dict(kwargs)

    @in_hub
    def edit_task(self, original: Original, args: list[Any], kwargs: dict[str, Any], *, new_id: str) -> dict[str, Any]:
        """Like `retry_task`, with other arguments: what was to run after the task still does. Raises Refused."""
        app = self.app_of(original)
        data = original.data
        if originals.is_chord_member(app, data):
            return _send_by_name(app, original, new_id, args, kwargs, note=NO_CHORD)
        if data.get("type", originals.JSON) != originals.JSON:
            return _send_by_name(app, original, new_id, args, kwargs, note="What was to run after it is not called.")
        body = dumps((args, kwargs, originals.decode(app, data)[2] or originals.NO_CALLBACKS), serializer="json")[2]
        return _publish(app, original, new_id, body)

    @in_hub
    def run_task(self, name: str, args: list[Any], kwargs: dict[str, Any], *, new_id: str, queue: str) -> dict[str, Any]:
        """Sends a task this application knows, by its own rules where the queue is not given. Raises Refused."""
        able = [app for app in self.apps if name in app.tasks]
        declaring = [app for app in able if queue and queue in app.amqp.queues]
        app = apps.the_one(declaring or able or [self.first.app])
        task = app.tasks.get(name)
        if task is None:
            raise Refused(f"this application does not know {name}")
        if app.conf.task_always_eager:
            raise Refused("this application runs tasks in place of sending them (task_always_eager)")
        check_new_id(app, new_id)
        sent = task.apply_async(args, kwargs, task_id=new_id, **({"queue": queue} if queue else {}))
        return {"task_id": str(sent.id), "queue": queue}

    @in_hub
    def cancel_task(self, task_id: str) -> dict[str, Any]:
        """Asks this worker and, by broadcast, the others to drop the task when one comes to it. They keep that in memory only."""
        app, consumer = self.first.app, self._worker_with(task_id)
        if consumer is None:
            raise Unsupported("only a Celery worker can cancel, and this process is none")
        request = worker_state.requests.get(task_id)
        if request is not None and request.time_start:
            raise Refused("it runs already; stop it instead")
        Panel.data["revoke"](state_of(app, consumer), task_id=task_id, terminate=False)
        try:  # any worker of that queue may come to it first
            app.control.revoke(task_id)
        except Exception as error:
            let_through(error)
            faults.report("telling the other workers of a cancellation", error)
            return {"note": "it will not run in this worker; the broker could not pass it on to others"}
        return {"note": "no worker will run it; the task is cancelled when a worker comes to it"}

    @in_hub
    def terminate_task(self, task_id: str) -> dict[str, Any]:
        """Ends the child process that runs the task."""
        app, consumer = self.first.app, self._worker_with(task_id)
        if consumer is None:
            raise Unsupported("only the worker that runs it can stop a task")
        if not can_terminate(consumer.pool):
            raise Unsupported("this worker's pool cannot stop a running task")
        request = worker_state.requests.get(task_id)
        if request is None or not request.time_start:
            raise Refused("it does not run in this worker (any more)")
        Panel.data["revoke"](state_of(app, consumer), task_id=task_id, terminate=True, signal=signal.Signals.SIGTERM.name)
        return {"signal": "SIGTERM"}

    def _worker_with(self, task_id: str) -> Any:
        """This process's worker, None where there is none. Raises Refused where the task is not known to be of the worker's broker."""
        first = self.first
        if first.consumer is None or reconcile.is_reserved(task_id):
            return first.consumer
        if first not in self.asked():
            raise Refused("the worker of this process has another broker than the task; ask a worker of its broker", check="broker.unknown")
        if len({apps.broker_key_of(app) for app in self.apps}) > 1:
            holding = [state.app for state in self.asked() if reconcile.is_waiting(state.app, state.known_queues(), task_id)]
            if not holding or apps.the_one(holding) is not first.app:
                raise Refused(
                    "this process has several brokers, and it is not known that the worker's has this task; nothing was changed",
                    check="broker.unknown",
                )
        return first.consumer
