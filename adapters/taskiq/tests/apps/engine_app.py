# SPDX-License-Identifier: Apache-2.0
"""The taskiq application of the contract: one task per way a task can end. `python engine_app.py` enqueues what it reads on stdin: a
line of JSON `[kind, args, kwargs, options]` is answered with the task id. BROKER says which broker: list, stream or rabbitmq.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import logging
import os
import sys
import time
from typing import Annotated, Any

from taskiq import (
    Context,
    ScheduleSource,
    SimpleRetryMiddleware,
    TaskiqDepends,
    TaskiqEvents,
    TaskiqMiddleware,
    TaskiqScheduler,
    TaskiqState,
)
from taskiq.exceptions import NoResultError
from taskiq.kicker import AsyncKicker

import z4j_agent
import z4j_taskiq
from z4j_agent.conformance import other_tools

KIND, URL = os.environ.get("BROKER", "list"), os.environ["BROKER_URL"]
QUEUE = os.environ.get("QUEUE_NAME", "work")


def make_broker() -> Any:
    if KIND == "rabbitmq":
        import taskiq_aio_pika

        rabbit: Any = taskiq_aio_pika.AioPikaBroker
        if not hasattr(taskiq_aio_pika, "Queue"):  # before 0.6
            return rabbit(URL, queue_name=QUEUE, delay_queue_name="work.delayed", qos=4)
        queue = taskiq_aio_pika.Queue
        return rabbit(URL, task_queues=[queue(name=QUEUE)], delay_queue=queue(name="work.delayed"), qos=4)
    from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

    results: Any = RedisAsyncResultBackend(URL, result_ex_time=600)
    if KIND == "stream":
        from taskiq_redis import RedisStreamBroker

        stream = RedisStreamBroker(URL, queue_name=QUEUE, consumer_id="0", xread_block=200, xread_count=1, socket_timeout=None)
        return stream.with_result_backend(results)
    return ListQueueBroker(URL, queue_name=QUEUE, socket_timeout=None).with_result_backend(results)


def make_retries() -> tuple[TaskiqMiddleware, list[ScheduleSource]]:
    """RETRY=smart: RabbitMQ delays the message itself, on Redis the scheduler sends it when it is due."""
    if os.environ.get("RETRY") != "smart":
        return SimpleRetryMiddleware(), []
    from taskiq import SmartRetryMiddleware

    if KIND == "rabbitmq":
        return SmartRetryMiddleware(default_delay=0.2), []
    from taskiq_redis import ListRedisScheduleSource

    source = ListRedisScheduleSource(URL)
    return SmartRetryMiddleware(default_delay=0.2, schedule_source=source), [source]


def instrument() -> None:
    from taskiq.middlewares.opentelemetry_middleware import OpenTelemetryMiddleware

    broker.add_middlewares(OpenTelemetryMiddleware())


broker = make_broker()
retries, sources = make_retries()
broker.add_middlewares(retries)
other_tools.use(other_tools.BEFORE, instrument)
z4j_taskiq.install(broker)
other_tools.use(other_tools.AFTER, instrument)
scheduler = TaskiqScheduler(broker, sources)


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def stay_awake(state: TaskiqState) -> None:
    """A worker that waits for a message does not see its own signals; a loop that wakes now and then does."""
    if os.environ.get("ASLEEP"):
        return
    loop = asyncio.get_running_loop()

    def wake() -> None:
        state.waker = loop.call_later(0.1, wake)

    wake()


@broker.task("contract.succeed")
async def succeed(value: Any) -> Any:
    return value


@broker.task("contract.sync_succeed")
def sync_succeed(value: Any) -> Any:
    return value


@broker.task("contract.fail")
async def fail(value: str) -> None:
    raise ValueError(value)


@broker.task("contract.sync_fail")
def sync_fail(value: str) -> None:
    raise KeyError(value)


@broker.task("contract.retry", retry_on_error=True, max_retries=3)
async def retry(context: Annotated[Context, TaskiqDepends()]) -> str:
    if not int(context.message.labels.get("_retries", 0)):
        raise ConnectionError("mail host refused")
    return "second"


@broker.task("contract.give_up", retry_on_error=True, max_retries=2)
def give_up() -> None:
    raise OSError(28, "No space left on device")


@broker.task("contract.wait")
async def wait(seconds: float) -> float:
    """Waits for the given time, in seconds."""
    await asyncio.sleep(seconds)
    return seconds


@broker.task("contract.sync_wait")
def sync_wait(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@broker.task("contract.stubborn_wait", retry_on_error=True)
async def stubborn_wait(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@broker.task("contract.log")
async def log(number: int, password: str) -> int:
    logging.getLogger("shop.orders").warning("charging order %s", number)
    logging.getLogger("shop.orders").error("password=%s", password)
    return number


@broker.task("contract.secret")
async def secret(user: str, password: str) -> dict[str, str]:
    return {"user": user, "password": password, "proof": hashlib.sha256(password.encode()).hexdigest()[:8]}


@broker.task("contract.spawn")
async def spawn() -> str:
    return (await succeed.kiq("child")).task_id


@broker.task("contract.note")
async def note(order: int, password: str) -> int:
    z4j_agent.annotate(order=order, password=password)
    z4j_agent.progress(1, 2, "half")
    await asyncio.sleep(0)
    z4j_agent.progress(2, 2, "all")
    return order


@broker.task("contract.sync_note")
def sync_note(order: int, password: str) -> int:
    z4j_agent.annotate(order=order, password=password)
    return order


@broker.task("contract.ignore")
async def ignore() -> None:
    raise NoResultError


@broker.task("contract.reject")
async def reject(context: Annotated[Context, TaskiqDepends()]) -> None:
    context.reject()


@broker.task("contract.requeue")
async def requeue(context: Annotated[Context, TaskiqDepends()]) -> str:
    if not int(context.message.labels.get("X-Taskiq-requeue", 0)):
        await context.requeue()
    return "not the first time"


@broker.task("contract.limit", timeout=0.3)
async def limit() -> None:
    await asyncio.sleep(30)


@broker.task("contract.own_timeout", timeout=10)
async def own_timeout() -> None:
    raise TimeoutError("the mail host's, not taskiq's")


@broker.task("contract.leave_loop")
async def leave_loop() -> None:
    raise asyncio.CancelledError


async def send(kind: str, args: list[Any], kwargs: dict[str, Any], labels: dict[str, Any]) -> str:
    name = f"contract.{kind}"
    task = broker.find_task(name)
    kicker: Any = AsyncKicker(name, broker, {}) if task is None else task.kicker()
    return str((await kicker.with_labels(**labels).kiq(*args, **kwargs)).task_id)


def ask_adapter(method: str, *args: str) -> str:
    """What the adapter of this process answers; asked in a thread of its own, as the agent does."""
    returned = getattr(z4j_taskiq._installation.part_for(broker), method)(*args)
    return json.dumps([dataclasses.astuple(entry) for entry in returned] if isinstance(returned, list) else returned)


async def serve() -> None:
    await broker.startup()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        asked = json.loads(line)
        if asked[0].startswith("adapter."):
            print(await loop.run_in_executor(None, ask_adapter, asked[0].removeprefix("adapter."), *asked[1:]), flush=True)
        else:
            print(await send(*asked), flush=True)


if __name__ == "__main__":
    asyncio.run(serve())
