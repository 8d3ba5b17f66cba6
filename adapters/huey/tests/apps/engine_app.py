# SPDX-License-Identifier: Apache-2.0
# mypy: disable-error-code="untyped-decorator"
"""The Huey application of the contract: one task per way a task can end. `python engine_app.py` enqueues what it reads on stdin:
a line of JSON `[kind, args, kwargs, options]` is answered with the task id. `huey_consumer engine_app.huey` runs it.

`HUEY_STORAGE` says where tasks wait (redis, priority, sqlite or file), `HUEY_AT` at which port or path.
"""

from __future__ import annotations

import os

if os.environ.get("HUEY_WORKERS") == "greenlet":
    from gevent import monkey

    monkey.patch_all()

import hashlib
import json
import logging
import signal
import sys
import time
from pathlib import Path
from typing import Any

import huey as engine
from huey.api import Task
from huey.exceptions import CancelExecution, RetryTask

import z4j_agent
import z4j_huey
from z4j_agent.conformance import other_tools


def make_huey(storage: str, at: str) -> Any:
    if storage in ("redis", "priority"):
        make = engine.RedisHuey if storage == "redis" else engine.PriorityRedisHuey
        return make("work", host="127.0.0.1", port=int(at))
    if storage == "sqlite":
        return engine.SqliteHuey("work", filename=at)
    return engine.FileHuey("work", path=at)


huey = make_huey(os.environ["HUEY_STORAGE"], os.environ["HUEY_AT"])


def instrument() -> None:
    """A span around each task, in the hooks of Huey."""
    spans = other_tools.OwnSpans()
    huey.pre_execute()(lambda task: spans.begin())
    huey.post_execute()(lambda task, value, error: spans.end(error))


other_tools.use(other_tools.BEFORE, instrument)
z4j_huey.install(huey)
other_tools.use(other_tools.AFTER, instrument)
HAS_TIMEOUT = hasattr(Task, "default_timeout")


def task(**options: Any) -> Any:
    """A task of this module, also where it is run as a script: names must be the same in producer and worker."""

    def declare(function: Any) -> Any:
        function.__module__ = "engine_app"
        return huey.task(**options)(function)

    return declare


@task()
def succeed(value: Any) -> Any:
    return value


@task()
def fail(value: str) -> None:
    raise ValueError(value)


@task(retries=1, context=True)
def retry(task: Any) -> str:
    if task.retries:
        raise ConnectionError("mail host refused")
    return "second"


@task(retries=1, retry_delay=1, context=True)
def later(task: Any) -> str:
    if task.retries:
        raise ConnectionError("mail host refused")
    return "second"


@task(retries=1)
def give_up() -> None:
    raise OSError(28, "No space left on device")


@task()
def wait(seconds: float) -> float:
    """Waits for the given time, in small steps: an exception from outside lands between two of them."""
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        time.sleep(min(left, 0.05))
    return seconds


@task()
def log(number: int, password: str) -> int:
    logging.getLogger("shop.orders").warning("charging order %s", number)
    logging.getLogger("shop.orders").error("password=%s", password)
    return number


@task()
def secret(user: str, password: str) -> dict[str, str]:
    return {"user": user, "password": password, "proof": hashlib.sha256(password.encode()).hexdigest()[:8]}


@task()
def spawn() -> str:
    return str(succeed("child").id)


@task()
def note(order: int, password: str) -> int:
    z4j_agent.annotate(order=order, password=password)
    z4j_agent.progress(1, 2, "half")
    z4j_agent.progress(2, 2, "all")
    return order


@task(retries=3)
def cancels_itself() -> None:
    raise CancelExecution(retry=False)


@task(retries=1, context=True)
def cancels_and_retries(task: Any) -> str:
    if task.retries:
        raise CancelExecution()
    return "second"


@task()
def vetoed() -> None:
    """`veto` does not let it run."""


@huey.pre_execute()
def veto(task: Any) -> None:
    if task.name == "vetoed":
        raise CancelExecution


@task()
def locked() -> None:
    with huey.lock_task("taken"):
        pass


@task(retries=1)
def locked_twice() -> None:
    with huey.lock_task("taken"):
        pass


@task()
def unstorable() -> Any:
    return lambda: "no pickle holds this"


@task(retries=1)
def asks_again(mark: str) -> str:
    """Asks to be tried again, which costs none of its retries."""
    if not Path(mark).exists():
        Path(mark).touch()
        raise RetryTask("not yet")
    return "second"


@task()
def add(one: int, other: int) -> int:
    return one + other


@task()
def total(numbers: list[int]) -> int:
    return sum(numbers)


@task()
def see(error: Any) -> str:
    return f"seen {type(error).__name__}"


def pipeline() -> list[Any]:
    first = add.s(0, 1).then(add, 2).then(add, 3)
    return [first, first.on_complete, first.on_complete.on_complete]


def chord() -> list[Any]:
    members, callback = [add.s(0, 1), add.s(1, 1)], total.s()
    huey.enqueue(engine.chord(members, callback))
    return [*members, callback]


def handled() -> list[Any]:
    failing = fail.s("on purpose").error(see)
    return [failing, failing.on_error]


def every_minute() -> None:
    """The scheduler enqueues it when it starts, and every minute."""


every_minute.__module__ = "engine_app"
huey.periodic_task(engine.crontab(minute="*"))(every_minute)


@task()
def crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if HAS_TIMEOUT:

    @task(timeout=1)
    def limit() -> None:
        time.sleep(30)

    @task(timeout=1, retries=1, context=True)
    def limit_once(task: Any) -> str:
        time.sleep(30 if task.retries else 0)
        return "second"


def enqueue(kind: str, args: list[Any], kwargs: dict[str, Any], options: dict[str, Any]) -> str:
    if kind.startswith("locked"):
        huey.put_if_empty("work.lock.taken", "1")
    if kind == "unknown":
        stranger = type("unknown", (Task,), {"__module__": "engine_app", "execute": succeed.func})
        huey._registry.register(stranger)
        made = stranger()
        huey.enqueue(made)
        huey._registry.unregister(stranger)
        return str(made.id)
    if kind in ("pipeline", "chord", "handled"):
        made = globals()[kind]()
        if kind != "chord":
            huey.enqueue(made[0])
        return json.dumps([each.id for each in made])
    if kind == "malformed":
        huey.storage.enqueue(b"no message of Huey's")
        return "sent"
    wrapper = globals()[options.pop("as", kind)]
    made = wrapper.s(*args, **kwargs, **options)
    huey.enqueue(made)
    return str(made.id)


if __name__ == "__main__":
    sys.modules["engine_app"] = sys.modules["__main__"]
    for line in sys.stdin:
        print(enqueue(*json.loads(line)), flush=True)
