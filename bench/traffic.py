# SPDX-License-Identifier: AGPL-3.0-or-later
"""The records of tasks as they come in life: IDs are random, and the records of a task are in three batches.

A producer tells of a task when it is sent, a worker when it begins, and the same worker when it ends; what others do in between fills the
batches between. `in_life` gives batches in that order, `whole_lives` the easiest case: rising IDs and all records of a task in one batch.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from random import Random
from typing import Final

from tests.support.wire_client import life
from z4j_agent import wire
from z4j_agent.wire.redaction import RULES

EVENTS_PER_TASK: Final = 5
TASKS_PER_BATCH: Final = 150
BEGINS_AFTER: Final = 1
ENDS_AFTER: Final = 4
"""Batches of its connection between sending and beginning, and between sending and end."""
NAMES: Final = [f"shop.part_{number:02}" for number in range(40)]
QUEUES: Final = [f"work{number}" for number in range(7)]
PRODUCER, WORKER = "producer", "worker"
TRACEBACK: Final = """Traceback (most recent call last):
  File "/srv/shop/tasks.py", line 31, in ship
    order = orders.find(number)
  File "/srv/shop/orders.py", line 77, in find
    raise ValueError(f"no such order: {number}")
"""


def origin(boot: str, role: str, at: int) -> bytes:
    """Of an agent of this release, whose texts the server does not redact again."""
    facts = {
        "host": "test", "pid": 1, "role": role, "worker": "" if role == PRODUCER else f"{boot}@test", "app": "",
        "environment": "production", "release": "r1", "engines": {}, "redaction": RULES,
    }  # fmt: skip
    return wire.encode_record(["origin", boot, at, facts])


def told(chance: Random, number: int, at: int, producer: str, worker: str, *, is_failed: bool = False) -> tuple[bytes, bytes, bytes]:
    """The records of one task when it is sent, when it begins and when it ends. Process tokens as arguments."""
    head = ["celery", str(uuid.UUID(int=chance.getrandbits(128), version=4)), 0]
    name = number % len(NAMES)
    tail = [NAMES[name], QUEUES[name % len(QUEUES)]]  # a task name has its queue
    original = base64.b64encode(b"\0" + chance.randbytes(150)).decode()
    args = f'[{number}, "order"] {{"retry": false}}'
    times = [at + 900, at + 2_000, 7_000]
    end: list[object] = ["succeeded", *head, at + 9_000, worker, *tail, *times, '{"ok": true}', None]
    if is_failed:
        end = ["failed", *head, at + 9_000, worker, *tail, *times, "exception", "ValueError", f"no such order: {number}", TRACEBACK, None]
    parts = (
        (
            ["enqueued", *head, at, producer, *tail, None, {"code": "shop/views.py:31"}],
            ["payload", *head, at + 5, producer, *tail, 2, args, False, [None, original], "plain"],
        ),
        (
            ["received", *head, at + 900, worker, *tail, None, None],
            ["started", *head, at + 2_000, worker, *tail, None],
        ),
        (end,),
    )
    sent, begun, ended = (b"".join(wire.encode_record(record) for record in part) for part in parts)
    return sent, begun, ended


def in_life(
    tasks: int, at: int, producer: str, worker: str, seed: int | None = None, *, fails: int = 0
) -> Iterator[tuple[str, bytes]]:  # fmt: skip
    """Batches with the role of their sender, in the order of time. Boots as arguments; the worker has two child processes. The same `seed`
    gives the same tasks, to a producer and a worker that are two processes. One of `fails` tasks fails; 0: none."""
    chance = Random(seed)
    groups: list[list[tuple[bytes, bytes, bytes]]] = []
    for first in range(0, tasks, TASKS_PER_BATCH):
        numbers = range(first, min(first + TASKS_PER_BATCH, tasks))
        groups.append([
            told(
                chance, number, at + number * 100, f"{producer}.7", f"{worker}.{8 + number % 2}",
                is_failed=bool(fails) and number % fails == fails - 1,
            )
            for number in numbers
        ])  # fmt: skip
    for step in range(len(groups) + ENDS_AFTER):
        for part, (role, after) in enumerate(((PRODUCER, 0), (WORKER, BEGINS_AFTER), (WORKER, ENDS_AFTER))):
            if 0 <= step - after < len(groups):
                yield role, b"".join(task[part] for task in groups[step - after])


def whole_lives(tasks: int, at: int, boot: str, first: int) -> Iterator[bytes]:
    """Batches of tasks whose IDs rise, each with all of its records in one batch."""
    for start in range(first, first + tasks, TASKS_PER_BATCH):
        numbers = range(start, min(start + TASKS_PER_BATCH, first + tasks))
        yield b"".join(life(boot, number, at + number - first) for number in numbers)
