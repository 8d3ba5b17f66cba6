# SPDX-License-Identifier: Apache-2.0
# mypy: disable-error-code="untyped-decorator"
"""The Celery application of the contract: one task per way a task can end. `python engine_app.py` enqueues what it reads on stdin:
a line of JSON `[kind, args, kwargs, options]` is answered with the task id.
"""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import sys
import time
from typing import Any

from celery import Celery, Task
from celery.exceptions import Ignore, Reject
from kombu import Queue
from kombu.utils.json import loads

import z4j_agent
import z4j_celery
from z4j_agent.conformance import other_tools


def instrument() -> None:
    from opentelemetry.instrumentation.celery import CeleryInstrumentor

    CeleryInstrumentor().instrument()


app = Celery("contract", broker=os.environ["BROKER_URL"], backend=os.environ.get("RESULTS_URL", os.environ["BROKER_URL"]))
app.conf.update(
    task_default_queue="work",
    worker_prefetch_multiplier=4,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    result_expires=600,
)
if "RESULTS_AWAY" in os.environ:
    app.conf.result_backend_transport_options = {"retry_policy": {"max_retries": 1, "interval_start": 0.1}}
if "PREFIXED" in os.environ:
    app.conf.broker_transport_options = {"global_keyprefix": "shop:", "sep": "~", "priority_steps": [0, 4, 8]}
if "HIGHEST" in os.environ:
    ORDERED = {"queue_arguments": {"x-max-priority": int(os.environ["HIGHEST"])}} if os.environ["HIGHEST"] else {}
    app.conf.task_queues = [Queue(name, routing_key=name, **ORDERED) for name in ("work", "other")]
    app.conf.worker_prefetch_multiplier = 1
other_tools.use(other_tools.BEFORE, instrument)
z4j_celery.install(app)
other_tools.use(other_tools.AFTER, instrument)


@app.task(name="contract.succeed")
def succeed(value: Any) -> Any:
    return value


@app.task(name="contract.delivered", bind=True)
def delivered(self: Task, value: Any) -> dict[str, Any]:
    """How its message was delivered."""
    properties = self.request.properties
    return {name: properties.get(name) for name in ("priority", "delivery_mode", "reply_to")} | {"expires": self.request.expires}


@app.task(name="contract.kinds")
def kinds(*values: Any) -> list[str]:
    return [f"{type(value).__name__} {value}" for value in values]


@app.task(name="contract.fail")
def fail(value: str) -> None:
    raise ValueError(value)


@app.task(name="contract.retry", bind=True)
def retry(self: Task) -> str:
    if self.request.retries == 0:
        raise self.retry(countdown=0.1, exc=ConnectionError("mail host refused"))
    return "second"


@app.task(name="contract.autoretry", autoretry_for=(OSError,), retry_backoff=False, default_retry_delay=0, max_retries=1)
def autoretry() -> None:
    raise OSError(28, "No space left on device")


@app.task(name="contract.wait")
def wait(seconds: float) -> float:
    """Waits for the given time, in seconds."""
    time.sleep(seconds)
    return seconds


@app.task(name="contract.log")
def log(number: int, password: str) -> int:
    logging.getLogger("shop.orders").warning("charging order %s", number)
    logging.getLogger("shop.orders").error("password=%s", password)
    return number


@app.task(name="contract.secret")
def secret(user: str, password: str) -> dict[str, str]:
    return {"user": user, "password": password, "proof": hashlib.sha256(password.encode()).hexdigest()[:8]}


@app.task(name="contract.spawn")
def spawn() -> str:
    return str(succeed.delay("child").id)


@app.task(name="contract.note")
def note(order: int, password: str) -> int:
    z4j_agent.annotate(order=order, password=password)
    z4j_agent.progress(1, 2, "half")
    z4j_agent.progress(2, 2, "all")
    return order


@app.task(name="contract.ignore")
def ignore() -> None:
    raise Ignore


@app.task(name="contract.says_failed", bind=True)
def says_failed(self: Task) -> None:
    self.update_state(state="FAILURE", meta={"exc_type": "ValueError", "exc_message": ["quota"], "exc_module": "builtins"})
    raise Ignore


@app.task(name="contract.quiet", bind=True, max_retries=3)
def quiet(self: Task) -> str:
    if self.request.retries == 0:
        self.retry(countdown=0.2, throw=False, exc=OSError("smtp down"))
        return "queued again"
    raise OSError("smtp still down")


@app.task(name="contract.double")
def double(value: int) -> int:
    if value < 0:
        raise ValueError("negative")
    return value * 2


@app.task(name="contract.replaced", bind=True)
def replaced(self: Task, value: int) -> None:
    raise self.replace(double.s(value))


class Declined(Exception):
    def __init__(self, card: str, reason: str) -> None:
        super().__init__(card)
        self.reason = reason


@app.task(name="contract.unpickleable")
def unpickleable() -> None:
    raise Declined("card-51", "limit")


@app.task(name="contract.reject")
def reject() -> None:
    raise Reject("not for me", requeue=False)


@app.task(name="contract.crash")
def crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="contract.leave")
def leave() -> None:
    os._exit(3)


@app.task(name="contract.hard_limit", time_limit=1)
def hard_limit() -> None:
    time.sleep(30)


@app.task(name="contract.soft_limit", soft_time_limit=1, time_limit=20)
def soft_limit() -> None:
    time.sleep(30)


@app.task(name="contract.soft_limit_survived", soft_time_limit=1, time_limit=20)
def soft_limit_survived() -> str:
    from celery.exceptions import SoftTimeLimitExceeded

    try:
        time.sleep(30)
    except SoftTimeLimitExceeded:
        return "cleaned up"
    return "never"


def serve() -> None:
    for line in sys.stdin:
        kind, args, kwargs, options = loads(line)  # kombu's: it reads dates and the like as Celery does
        name = f"contract.{kind}"
        task = app.tasks.get(name)
        sent = task.apply_async(args, kwargs, **options) if task is not None else app.send_task(name, args, kwargs, **options)
        print(sent.id, flush=True)


if __name__ == "__main__":
    serve()
