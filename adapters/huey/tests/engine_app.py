# SPDX-License-Identifier: Apache-2.0
# mypy: disable-error-code="untyped-decorator"
"""The Huey application of the contract: one task per way a task can end. `python engine_app.py` enqueues what it reads on stdin:
a line of JSON `[kind, args, kwargs, options]` is answered with the task id. `huey_consumer engine_app.huey` runs it.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from typing import Any

from huey import RedisHuey
from huey.api import Task
from huey.exceptions import CancelExecution, RetryTask

import z4j_huey

huey = RedisHuey("work", url=os.environ["BROKER_URL"])
z4j_huey.install(huey)
if __name__ == "__main__":
    sys.modules["engine_app"] = sys.modules["__main__"]
NAMED = {"__module__": "engine_app"}


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
def retry(task: Task) -> str:
    if task.retries:
        raise ConnectionError("mail host refused")
    return "second"


@task(retries=1, retry_delay=1, context=True)
def later(task: Task) -> str:
    if task.retries:
        raise ConnectionError("mail host refused")
    return "second"


@task()
def wait(seconds: float) -> float:
    """Waits as long as it is told, in small steps: an exception from outside lands between two of them."""
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        time.sleep(min(left, 0.05))
    return seconds


@task()
def secret(user: str, password: str) -> dict[str, str]:
    return {"user": user, "password": password, "proof": hashlib.sha256(password.encode()).hexdigest()[:8]}


@task()
def spawn() -> str:
    return str(succeed("child").id)


@task()
def give_up() -> None:
    raise CancelExecution("not today")


@task()
def locked() -> None:
    with huey.lock_task("taken"):
        pass


@task(timeout=1)
def limit() -> None:
    time.sleep(30)


@task()
def crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def enqueue(kind: str, args: list[Any], kwargs: dict[str, Any], options: dict[str, Any]) -> str:
    if kind == "locked":
        huey.put_if_empty("work.lock.taken", "1")
    if kind == "unknown":
        function = succeed.func
        stranger = type("unknown", (Task,), {"__module__": "engine_app", "execute": function})
        huey._registry.register(stranger)
        made = stranger()
        huey.enqueue(made)
        huey._registry.unregister(stranger)
        return str(made.id)
    wrapper = globals()[kind]
    made = wrapper.s(*args, **kwargs, **options)
    huey.enqueue(made)
    return str(made.id)


if __name__ == "__main__":
    for line in sys.stdin:
        print(enqueue(*json.loads(line)), flush=True)

__all__ = ["RetryTask", "huey"]
