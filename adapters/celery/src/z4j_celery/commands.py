# SPDX-License-Identifier: Apache-2.0
"""What operators ask, done with Celery's own means and in this process, so it works without remote control too."""

from __future__ import annotations

import signal
from typing import Any

from celery.utils.collections import AttributeDict
from celery.worker import state as worker_state
from celery.worker.control import Panel

import z4j_agent
from z4j_agent import records
from z4j_agent.adapter import Original, Refused, Unsupported
from z4j_agent.guard import faults, let_through
from z4j_celery import originals
from z4j_celery.facts import ENGINE, RETRY_OF, now, sent_meta

SAFE_TYPES = (originals.JSON, "application/data")
"""What reading cannot run code: JSON, and what is signed, which the worker checks before it reads."""


def retry_task(app: Any, original: Original, new_id: str) -> dict[str, Any]:
    """Publishes the kept message again under `new_id`, without decoding it, so a signature over the body stays valid.

    The worker that takes it reports its arguments, as of any message whose producer is not watched.
    """
    data = original.data
    if data.get("type", originals.JSON) not in SAFE_TYPES and not original.is_sealed:
        raise Refused("the kept message is no JSON and was not sealed, so nobody can say that this application made it")
    if originals.is_chord_member(app, data):
        return _retry_without_chord(app, original, new_id)
    body = originals.body_of(data)
    queue = original.queue or str(data.get("key", "")) or str(app.conf.task_default_queue)
    headers = {
        "timelimit": [None, None],
        **data.get("headers", {}),
        "lang": "py",
        "task": original.name,
        "id": new_id,
        "root_id": new_id,
        "parent_id": None,
        "retries": 0,
        "eta": None,
        "expires": None,
        RETRY_OF: original.task_id,
    }
    at = now()
    with app.producer_pool.acquire(block=True, timeout=5) as producer:
        producer.publish(
            body,
            exchange=str(data.get("exchange", "")),
            routing_key=str(data["key"]) if data.get("exchange") else queue,
            content_type=str(data.get("type", originals.JSON)),
            content_encoding=str(data.get("encoding", originals.UTF8)),
            headers=headers,
            correlation_id=new_id,
            delivery_mode=2,
            retry=True,
            retry_policy={"max_retries": 2, "interval_start": 0.1},
        )
    agent = z4j_agent.current()
    if agent is not None:
        agent.append(records.enqueued(ENGINE, new_id, 0, at, agent.run, original.name, queue, meta=sent_meta(headers, new_id)))
    return {"task_id": new_id, "queue": queue}


def _retry_without_chord(app: Any, original: Original, new_id: str) -> dict[str, Any]:
    args, kwargs, _ = originals.decode(app, original.data)
    app.send_task(
        original.name, args, kwargs, task_id=new_id, root_id=new_id, queue=original.queue or None, headers={RETRY_OF: original.task_id}
    )
    note = "It was a member of a chord and ran again by itself: the chord's callback is not called a second time."
    return {"task_id": new_id, "queue": original.queue, "note": note}


def cancel_task(app: Any, consumer: Any, task_id: str) -> dict[str, Any]:
    """Asks this worker and, by broadcast, the others to drop the task when one comes to it. They keep that in memory only."""
    if consumer is None:
        raise Unsupported("only a Celery worker can cancel, and this process is none")
    held = worker_state.requests.get(task_id)
    if held is not None and held.time_start:
        raise Refused("it runs already; stop it instead")
    Panel.data["revoke"](_state(app, consumer), task_id=task_id, terminate=False)
    try:  # any worker of that queue may come to it first
        app.control.revoke(task_id)
    except Exception as error:
        let_through(error)
        faults.report("telling the other workers of a cancellation", error)
        return {"note": "it will not run in this worker; the broker could not pass it on to others"}
    return {"note": "no worker will run it; the task is cancelled when a worker comes to it"}


def terminate_task(app: Any, consumer: Any, task_id: str) -> dict[str, Any]:
    """Ends the child process that runs the task."""
    if consumer is None:
        raise Unsupported("only the worker that runs it can stop a task")
    if not can_terminate(consumer.pool):
        raise Unsupported("this worker's pool cannot stop a running task")
    held = worker_state.requests.get(task_id)
    if held is None or not held.time_start:
        raise Refused("it does not run in this worker (any more)")
    Panel.data["revoke"](_state(app, consumer), task_id=task_id, terminate=True, signal=signal.Signals.SIGTERM.name)
    return {"signal": "SIGTERM"}


def can_terminate(pool: Any) -> bool:
    """Whether this kind of pool can stop one task: prefork by a signal, greenlets by an exception, the others not at all."""
    return type(pool).__module__.endswith(("prefork", "gevent", "eventlet"))


def _state(app: Any, consumer: Any) -> Any:
    return AttributeDict(app=app, hostname=consumer.hostname, consumer=consumer, tset=set)
