# SPDX-License-Identifier: Apache-2.0
"""The RQ application of the contract: one task per way a task can end. `python engine_app.py` enqueues what it reads on stdin:
a line of JSON `[kind, args, kwargs, options]` is answered with the task id. `rq worker -c engine_app` runs it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import signal
import sys
import time
from datetime import timedelta
from typing import Any

from redis import Redis
from rq import Queue, Retry, get_current_job
from rq.decorators import job
from rq.worker import Worker

import z4j_agent
import z4j_rq
from z4j_agent.conformance import other_tools

connection = Redis.from_url(os.environ["BROKER_URL"])
SERIALIZER = os.environ.get("ENGINE_SERIALIZER", "rq.serializers.DefaultSerializer")  # RQ 2 takes no short names
queue = Queue("work", connection=connection, serializer=SERIALIZER)


def instrument() -> None:
    """A span around each job, as libraries for RQ open it."""
    spans, perform_job = other_tools.OwnSpans(), Worker.perform_job

    def traced(self: Worker, *args: Any, **kwargs: Any) -> Any:
        spans.begin()
        try:
            return perform_job(self, *args, **kwargs)
        finally:
            spans.end()

    Worker.perform_job = traced


other_tools.use(other_tools.BEFORE, instrument)
z4j_rq.install()
other_tools.use(other_tools.AFTER, instrument)


@job(queue, connection=connection)
def succeed(value: Any) -> Any:
    return value


@job(queue, connection=connection)
def fail(value: str) -> None:
    raise ValueError(value)


@job(queue, connection=connection)
def retry() -> str:
    current = get_current_job()
    assert current is not None
    if current.retries_left:
        raise ConnectionError("mail host refused")
    return "second"


@job(queue, connection=connection)
def again() -> Any:
    current = get_current_job()
    assert current is not None
    return "third time" if current.number_of_retries else Retry(max=2)


@job(queue, connection=connection)
def never_enough() -> Retry:
    return Retry(max=1)


@job(queue, connection=connection)
def wait(seconds: float) -> float:
    """Waits for the given time, in seconds."""
    time.sleep(seconds)
    return seconds


@job(queue, connection=connection)
def log(number: int, password: str) -> int:
    logging.getLogger("shop.orders").warning("charging order %s", number)
    logging.getLogger("shop.orders").error("password=%s", password)
    return number


@job(queue, connection=connection)
def secret(user: str, password: str) -> dict[str, str]:
    return {"user": user, "password": password, "proof": hashlib.sha256(password.encode()).hexdigest()[:8]}


@job(queue, connection=connection)
def spawn() -> str:
    return str(queue.enqueue(succeed, "child").id)


@job(queue, connection=connection)
def note(order: int, password: str) -> int:
    z4j_agent.annotate(order=order, password=password)
    z4j_agent.progress(1, 2, "half")
    z4j_agent.progress(2, 2, "all")
    return order


@job(queue, connection=connection)
def crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@job(queue, connection=connection)
def leave() -> None:
    os._exit(3)


@job(queue, connection=connection)
def limit() -> None:
    time.sleep(30)


@job(queue, connection=connection)
def unkept() -> Any:
    return lambda: None


class SlowHorse(Worker):
    """Its horse takes a while before it writes into the job which worker runs it, as on a busy host."""

    def prepare_job_execution(self, *args: Any, **kwargs: Any) -> None:
        time.sleep(3)
        super().prepare_job_execution(*args, **kwargs)


def options_of(kind: str) -> dict[str, Any]:
    """How each kind is sent: RQ's wishes belong to the job, not to its function."""
    if kind in ("retry", "crash_once"):
        return {"retry": Retry(max=1, interval=0)}
    return {"job_timeout": 1} if kind == "limit" else {}


def enqueue(kind: str, args: list[Any], kwargs: dict[str, Any], options: dict[str, Any]) -> str:
    delay_s, name = options.pop("delay_s", 0), f"engine_app.{kind}"
    options |= options_of(kind)
    if kind == "crash_once":
        name = "engine_app.crash"
    if delay_s:
        return str(queue.enqueue_in(timedelta(seconds=delay_s), name, args=args, kwargs=kwargs, **options).id)
    return str(queue.enqueue(name, args=args, kwargs=kwargs, **options).id)


if __name__ == "__main__":
    sys.modules["engine_app"] = sys.modules["__main__"]  # the name under which a worker imports it
    for line in sys.stdin:
        print(enqueue(*json.loads(line)), flush=True)
