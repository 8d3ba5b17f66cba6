# SPDX-License-Identifier: Apache-2.0
"""The application the conformance suite runs: `celery -A conformance_app worker`, and `python conformance_app.py` as its producer."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

from celery import Celery, Task

import z4j_celery
from z4j_celery import reconcile

app = Celery("conformance", broker=os.environ["BROKER_URL"], backend=os.environ["BROKER_URL"])
app.conf.update(
    task_default_queue=os.environ["QUEUE"],
    accept_content=["json", "pickle"],
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=4,
)
z4j_celery.install(app)


class Unreadable:
    """Nobody can print it, and it says so with an exception."""

    def __repr__(self) -> str:
        raise RuntimeError("do not look at me")


@app.task
def succeed(value: Any) -> Any:
    """Returns what it was given."""
    return value if not isinstance(value, Unreadable) and len(str(value)) < 1000 else None


@app.task
def fail(message: str) -> None:
    raise ValueError(message)


@app.task(bind=True, max_retries=1)
def flaky(self: Task) -> str:
    if not self.request.retries:
        raise self.retry(countdown=0.1, exc=ConnectionError("not yet"))
    return "ok"


@app.task
def wait(seconds: float) -> None:
    time.sleep(seconds)


@app.task
def crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@app.task
def login(user: str, password: str) -> bool:
    return password == os.environ["SECRET"]


def answer(request: dict[str, Any]) -> dict[str, Any]:
    if "lookup" in request:
        return reconcile.lookup_task(app, request["lookup"])
    if "many" in request:
        task = app.tasks[f"conformance_app.{request['many']}"]
        return {"ids": [task.delay(number).id for number in range(request["count"])]}
    role, options = request["send"], request.get("options", {})
    if role == "unknown":
        return {"id": app.send_task("conformance_app.nowhere", (1,)).id}
    if role == "unreadable":
        return {"id": succeed.apply_async((Unreadable(),), serializer="pickle").id}
    timing = {"countdown": options.get("delay"), "expires": options.get("expires")}
    task = app.tasks[f"conformance_app.{role}"]
    return {"id": task.apply_async(request.get("args", ()), request.get("kwargs", {}), **timing).id}


if __name__ == "__main__":
    sys.modules["conformance_app"] = sys.modules["__main__"]
    for line in sys.stdin:
        try:
            said = answer(json.loads(line))
        except Exception as error:
            said = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(said, default=str), flush=True)
