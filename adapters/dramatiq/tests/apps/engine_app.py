# SPDX-License-Identifier: Apache-2.0
# mypy: disable-error-code="untyped-decorator"
"""The Dramatiq application of the contract: one actor per way a task can end. `python engine_app.py` enqueues what it reads on stdin:
a line of JSON `[kind, args, kwargs, options]` is answered with the task id.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import time
from typing import Any

import dramatiq
from dramatiq.broker import Broker
from dramatiq.message import Message
from dramatiq.middleware import AsyncIO, Middleware, TimeLimit

import z4j_agent
import z4j_dramatiq
from z4j_agent.conformance import other_tools


def make_broker(url: str) -> Broker:
    if url.startswith("amqp"):
        from dramatiq.brokers.rabbitmq import RabbitmqBroker

        return RabbitmqBroker(url=url, confirm_delivery=True)
    from dramatiq.brokers.redis import RedisBroker

    return RedisBroker(url=url)


class Spans(Middleware):  # type: ignore[misc]
    """A span around each message, as libraries for Dramatiq open it."""

    def __init__(self) -> None:
        self.spans = other_tools.OwnSpans()

    def before_process_message(self, broker: Broker, message: Any) -> None:
        self.spans.begin()

    def after_process_message(self, broker: Broker, message: Any, *, result: Any = None, exception: BaseException | None = None) -> None:
        self.spans.end(exception)


own_middleware: list[Middleware] = []
other_tools.use(
    other_tools.BEFORE, lambda: own_middleware.append(Spans())
)  # Sentry adds its middleware to brokers that are created afterwards
broker = make_broker(os.environ["BROKER_URL"])
for middleware in broker.middleware:
    if isinstance(middleware, TimeLimit):
        middleware.manager.interval = 0.1  # it looks once a second otherwise
broker.add_middleware(AsyncIO())
for middleware in own_middleware:
    broker.add_middleware(middleware)
z4j_dramatiq.install(broker)
dramatiq.set_broker(broker)


def actor(**options: Any) -> Any:
    return dramatiq.actor(**{"queue_name": "work", "max_retries": 0, "min_backoff": 100, **options})


@actor()
def succeed(value: Any) -> Any:
    return value


@actor()
async def succeed_async(value: Any) -> Any:
    return value


@actor()
def fail(value: str) -> None:
    raise ValueError(value)


@actor()
async def fail_async(value: str) -> None:
    raise ValueError(value)


@actor(max_retries=1)
def retry() -> str:
    if here().options.get("retries", 0) == 0:
        raise ConnectionError("mail host refused")
    return "second"


@actor(max_retries=1)
def give_up() -> None:
    raise OSError(28, "No space left on device")


@actor(max_retries=3)
def asks_to_be_retried() -> str:
    if here().options.get("retries", 0) == 0:
        raise dramatiq.Retry("not yet", delay=100)
    return "second"


@actor(max_retries=3, throws=(KeyError,))
def throws() -> None:
    raise KeyError("not worth another try")


@actor()
def wait(seconds: float) -> float:
    """Waits for the given time, in steps: one long system call cannot be interrupted."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        time.sleep(0.02)
    return seconds


@actor()
def log(number: int, password: str) -> int:
    logging.getLogger("shop.orders").warning("charging order %s", number)
    logging.getLogger("shop.orders").error("password=%s", password)
    return number


@actor()
def secret(user: str, password: str) -> dict[str, str]:
    return {"user": user, "password": password, "proof": hashlib.sha256(password.encode()).hexdigest()[:8]}


@actor()
def spawn() -> str:
    return str(succeed.send("child").message_id)


@actor()
def note(order: int, password: str) -> int:
    z4j_agent.annotate(order=order, password=password)
    z4j_agent.progress(1, 2, "half")
    z4j_agent.progress(2, 2, "all")
    return order


@actor()
async def note_async(order: int, password: str) -> int:
    z4j_agent.annotate(order=order, password=password)
    return order


@actor()
async def spawn_async() -> str:
    return str(succeed.send("child").message_id)


@actor(queue_name="other")
def nowhere_else() -> None:
    """So that there is another queue."""


@actor(time_limit=300)
def time_limit() -> None:
    wait.fn(30)


@actor(time_limit=300)
def time_limit_survived() -> str:
    try:
        wait.fn(30)
    except dramatiq.middleware.TimeLimitExceeded:
        return "cleaned up"
    return "never"


@actor()
def leave() -> None:
    os._exit(3)


def here() -> Message[Any]:
    message = dramatiq.middleware.CurrentMessage.get_current_message()
    assert message is not None
    return message


def serve() -> None:
    for line in sys.stdin:
        kind, args, kwargs, options = json.loads(line)
        message = Message(queue_name="work", actor_name=kind, args=tuple(args), kwargs=kwargs, options={})
        delay = options.pop("delay", None)
        sent = broker.enqueue(message.copy(options=options), delay=delay)
        print(sent.message_id, flush=True)


broker.add_middleware(dramatiq.middleware.CurrentMessage())

if __name__ == "__main__":
    serve()
