# SPDX-License-Identifier: Apache-2.0
# mypy: disable-error-code="untyped-decorator"
"""Chains, groups and chords, and tasks that are acknowledged late and die."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from celery import Celery, Task, chain, chord, group
from celery.result import AsyncResult

import z4j_celery

app = Celery("canvas", broker=os.environ["BROKER_URL"], backend=os.environ["BROKER_URL"])
app.conf.update(
    task_default_queue="work",
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": 2, "unacked_restore_limit": 10},
)
z4j_celery.install(app)


@app.task
def add(left: int, right: int) -> int:
    return left + right


@app.task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task(bind=True, acks_late=True, reject_on_worker_lost=True)
def stay(self: Task, name: str) -> str:
    """The first time it stays until it is killed."""
    begun = Path(os.environ["BEGUN"], name)
    if begun.exists():
        return "again"
    begun.write_text(str(os.getpid()))
    time.sleep(60)
    return "never"


def ids(result: AsyncResult) -> list[str]:
    """The ids of a chain's tasks, the first one first."""
    return [] if result is None else [*ids(result.parent), str(result.id)]


def send(what: str) -> Any:
    """The ids of what was sent; of a group its own first, of a chord its body's."""
    if what == "chain":
        return ids(chain(add.s(1, 1), add.s(2), add.s(3)).delay())
    if what == "group":
        sent = group(add.s(1, number) for number in range(3)).delay()
        return [str(sent.id), *(str(each.id) for each in sent.results)]
    if what == "chord":
        sent = chord([add.s(1, number) for number in range(3)])(total.s())
        return [str(sent.id), *(str(each.id) for each in sent.parent.results)]
    if what == "label":
        return [str(add.apply_async((1, 2), shadow="nightly report password=opensesame").id)]
    return [str(stay.delay(what).id)]
