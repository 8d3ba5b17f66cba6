# SPDX-License-Identifier: Apache-2.0
# mypy: disable-error-code="untyped-decorator"
"""More of Dramatiq than the contract asks for: pipelines, groups, stored results, middlewares that skip, stops and shutdowns.

`python own_app.py` answers lines of JSON: `["send", actor, args, options]`, `["pipeline", …]`, `["group", …]` with task ids,
`["adapter.<method>", …]` with what the adapter says.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import dramatiq
from dramatiq.encoder import PickleEncoder
from dramatiq.message import Message
from dramatiq.middleware import GroupCallbacks, Interrupt, Middleware, SkipMessage
from dramatiq.rate_limits.backends import StubBackend as Limits
from dramatiq.results import Results
from dramatiq.results.backends import StubBackend as Kept
from engine_app import actor, broker, wait

import z4j_agent
import z4j_dramatiq

if os.environ.get("ENCODER") == "pickle":
    dramatiq.set_encoder(PickleEncoder())


class Bouncer(Middleware):
    """Turns away what is marked so, in the two ways Dramatiq knows."""

    def before_process_message(self, broker: Any, message: Any) -> None:
        turned_away = message.options.get("turned_away")
        if turned_away == "failed":
            message.fail()
        if turned_away in ("skipped", "dead"):
            if turned_away == "dead":
                message.fail()
            raise SkipMessage("not tonight")


broker.add_middleware(Bouncer())
if os.environ["BROKER_URL"].startswith("redis"):
    from dramatiq.rate_limits.backends import RedisBackend as RedisLimits
    from dramatiq.results.backends import RedisBackend as RedisKept

    broker.maintenance_chance, broker.heartbeat_timeout = 1_000_000, 2_000
    broker.add_middleware(GroupCallbacks(RedisLimits(url=os.environ["BROKER_URL"])))
    broker.add_middleware(Results(backend=RedisKept(url=os.environ["BROKER_URL"])))
else:
    broker.add_middleware(GroupCallbacks(Limits()))
    broker.add_middleware(Results(backend=Kept()))


@actor(store_results=True)
def kept(value: Any) -> Any:
    return value


@actor(store_results=True)
def kept_error() -> None:
    raise ValueError("it is kept")


@actor(queue_name="elsewhere")
def elsewhere(value: Any) -> Any:
    """Of a queue that no worker of these tests takes from."""
    return value


@actor(max_retries=3)
def patient(seconds: float) -> None:
    wait.fn(seconds)


@actor()
async def patient_async(seconds: float) -> None:
    import asyncio

    await asyncio.sleep(seconds)


@actor()
def stubborn(seconds: float) -> str:
    """Does not let itself be interrupted."""
    try:
        wait.fn(seconds)
    except Interrupt:
        return "cleaned up"
    return "never"


@actor(max_retries=1)
def stubborn_and_broken(seconds: float) -> str:
    if broken.exists():
        return "second"
    broken.touch()
    try:
        wait.fn(seconds)
    except Interrupt:
        raise ValueError("broken by the interruption") from None
    return "never"


broken = Path("broken")


@actor(notify_shutdown=True, max_retries=1)
def tells_of_shutdown() -> str:
    if Path("shut").exists():
        return "second"
    Path("shut").touch()
    wait.fn(30)
    return "never"


@actor()
def leaves_once() -> str:
    if Path("left").exists():
        return "came back"
    Path("left").touch()
    os._exit(3)


class Odd(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@actor()
def fails_oddly() -> None:
    raise Odd


def in_agents_thread(call: Callable[[], Any]) -> Any:
    """The result of a call by the agent's thread, as in a real process: its connection to RabbitMQ is for one thread only (pika)."""
    agent, result = z4j_agent.current(), Future[Any]()
    assert agent is not None

    def run() -> None:
        try:
            result.set_result(call())
        except Exception as error:
            result.set_exception(error)

    agent.offer(run)  # type: ignore[arg-type]  # no record
    return result.result(20)


def answer(line: list[Any]) -> Any:
    match line:
        case ["send", name, args, options]:
            delay = options.pop("delay", None)
            queue = broker.actors[name].queue_name if name in broker.actors else "work"
            message: Message[Any] = Message(queue, name, tuple(args), {}, dict(options))
            sent = broker.enqueue(message, delay=delay)
            return [sent.message_id, sorted(sent.options), sorted(message.options)]
        case ["pipeline", *messages]:
            pipe = dramatiq.pipeline([message_of(each) for each in messages])
            pipe.run()
            return [message.message_id for message in pipe.messages]
        case ["group", callback, *messages]:
            group = dramatiq.group([message_of(each) for each in messages])
            after = message_of(callback)
            group.add_completion_callback(after)
            group.run()
            return [after.message_id, *(message.message_id for message in group.children)]
        case [method, *args] if method.startswith("adapter."):
            adapter = z4j_dramatiq._installation.part_for(broker)
            returned = in_agents_thread(lambda: getattr(adapter, method.partition(".")[2])(*args))
            return (
                [asdict(each) for each in returned]
                if isinstance(returned, list)
                else asdict(returned)
                if is_dataclass(returned)
                else returned
            )
    raise ValueError(line)


def message_of(name_and_args: list[Any]) -> Message[Any]:
    name, *args = name_and_args
    made: Message[Any] = broker.actors[name].message(*args)
    return made


if __name__ == "__main__":
    for text in sys.stdin:
        print(json.dumps(answer(json.loads(text))), flush=True)
