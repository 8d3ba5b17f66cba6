# SPDX-License-Identifier: Apache-2.0
# mypy: disable-error-code="untyped-decorator"
"""What only Celery has: chords, chains, other serialisers, late acknowledgement."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from celery import Celery, Task, chord
from celery.exceptions import Reject

import z4j_celery

app = Celery("own", broker=os.environ["BROKER_URL"], backend=os.environ["BROKER_URL"])
app.conf.update(
    task_default_queue="work",
    accept_content=["json", "pickle"],
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)
z4j_celery.install(app)


@app.task(bind=True, acks_late=True)
def come_back(self: Task) -> str:
    if not self.request.delivery_info.get("redelivered"):
        raise Reject("not yet", requeue=True)
    return "second"


@app.task
def kind_of(value: Any) -> str:
    return type(value).__name__


@app.task
def add(left: int, right: int) -> int:
    return left + right


@app.task
def login(count: int, user: str, password: str) -> bool:
    return password == os.environ["SECRET"]


@app.task
def member(number: int) -> int:
    if not Path(os.environ["UNLOCK"]).exists():
        raise ValueError("locked")
    return number


@app.task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task
def wait(seconds: float) -> None:
    time.sleep(seconds)


def send_all() -> dict[str, str]:
    """One of each; what was sent by name."""
    old = Celery("old", broker=os.environ["BROKER_URL"], set_as_current=False)
    old.conf.update(task_protocol=1, task_default_queue="work")
    with app.connection_for_write() as connection:
        connection.Producer().publish({"hello": 1}, routing_key="work", exchange="")
    together = chord([member.s(1)])(total.s())
    following = (add.s(1, 1) | login.s("ada", os.environ["SECRET"])).delay()
    sent = {
        "requeued": come_back.delay(),
        "pickled": kind_of.apply_async(({1, 2},), serializer="pickle"),
        "protocol 1": old.send_task("own_app.add", (3, 4), queue="work"),
        "chord member": together.parent.results[0],
        "chord": together,
        "chain": following.parent,
        "delayed": add.apply_async((1, 2), countdown=4),
        "eager": add.apply((20, 22)),
    }
    return {name: result.id for name, result in sent.items()}
