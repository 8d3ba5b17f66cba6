# SPDX-License-Identifier: Apache-2.0
"""What operators ask, done with Celery's own means and in this process: no broadcast, so it works without remote control too."""

from __future__ import annotations

import json
import signal
import time
from typing import Any

from celery.utils.collections import AttributeDict
from celery.worker import state as worker_state
from celery.worker.control import Panel

import z4j_agent
from z4j_agent import records
from z4j_agent.adapter import Original, Refused, Unsupported
from z4j_celery import originals
from z4j_celery.facts import sent_meta

CALLBACKS = ("callbacks", "errbacks", "chain", "chord")


def retry_task(app: Any, original: Original, new_id: str) -> dict[str, Any]:
    """Publishes the kept message again under `new_id`, without decoding it, so a signature over the body stays valid.

    A chord's member is sent without its callbacks: replaying it would count the chord twice.
    """
    data = original.data
    body = originals.body_of(data)
    content_type = str(data.get("type", "application/json"))
    headers = {**data.get("headers", {})}
    if headers.get("group") is not None or _has_chord(body, content_type):
        body = _without_callbacks(body, content_type)
    queue = str(data.get("key") or original.queue)
    headers |= {
        "id": new_id,
        "root_id": new_id,
        "parent_id": None,
        "group": None,
        "retries": 0,
        "eta": None,
        "expires": None,
        "timelimit": headers.get("timelimit", [None, None]),
        "z4j_retry_of": original.task_id,
    }
    with app.producer_pool.acquire(block=True, timeout=5) as producer:
        producer.publish(
            body,
            exchange=str(data.get("exchange", "")),
            routing_key=queue,
            content_type=content_type,
            content_encoding=str(data.get("encoding", "utf-8")),
            headers=headers,
            correlation_id=new_id,
            delivery_mode=2,
            retry=True,
            retry_policy={"max_retries": 2, "interval_start": 0.1},
        )
    agent = z4j_agent.current()
    if agent is not None:
        at, name = time.time_ns() // 1000, str(headers.get("task", original.name))
        meta = sent_meta(headers, new_id)
        agent.append(records.enqueued("celery", new_id, 0, at, agent.run, name, queue, meta=meta))
    return {"task_id": new_id, "queue": queue}


def _has_chord(body: str | bytes, content_type: str) -> bool:
    if content_type != "application/json":
        return False
    return bool(_embed(body).get("chord"))


def _embed(body: str | bytes) -> dict[str, Any]:
    try:
        _, _, embed = json.loads(body)
    except ValueError as error:
        raise Refused("the kept message cannot be read") from error
    return embed or {}


def _without_callbacks(body: str | bytes, content_type: str) -> str | bytes:
    if content_type != "application/json":
        return body
    try:
        args, kwargs, embed = json.loads(body)
    except ValueError as error:
        raise Refused("the kept message cannot be read") from error
    return json.dumps([args, kwargs, {**(embed or {}), **dict.fromkeys(CALLBACKS)}])


def cancel_task(app: Any, consumer: Any, task_id: str) -> dict[str, Any]:
    """Asks this worker to drop the task when it comes to it. Celery keeps that in memory only."""
    if consumer is None:
        raise Unsupported("only a Celery worker can cancel, and this process is none")
    if any(request.id == task_id for request in list(worker_state.active_requests)):
        raise Refused("it runs already; stop it instead")
    Panel.data["revoke"](_state(app, consumer), task_id=task_id, terminate=False)
    return {"note": "it will not run in this worker; the task is cancelled when the worker comes to it"}


def terminate_task(app: Any, consumer: Any, task_id: str) -> dict[str, Any]:
    """Ends the child process that runs the task."""
    if consumer is None:
        raise Unsupported("only the worker that runs it can stop a task")
    pool = type(consumer.pool).__module__
    if not pool.endswith(("prefork", "gevent", "eventlet")):
        raise Unsupported(f"the pool {pool.rpartition('.')[2]} cannot stop a running task")
    if not any(request.id == task_id for request in list(worker_state.active_requests)):
        raise Refused("it does not run in this worker (any more)")
    Panel.data["revoke"](_state(app, consumer), task_id=task_id, terminate=True, signal=signal.Signals.SIGTERM.name)
    return {"signal": "SIGTERM"}


def _state(app: Any, consumer: Any) -> Any:
    return AttributeDict(app=app, hostname=consumer.hostname, consumer=consumer, tset=set)
