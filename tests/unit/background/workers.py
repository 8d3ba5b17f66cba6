# SPDX-License-Identifier: AGPL-3.0-or-later
"""Agents that connect, send heartbeats and disconnect, and the topics that a duty announces: for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from tests.support.database import T
from z4j.store.fleet import agents
from z4j.store.sqlite.db import Store
from z4j.store.tasks.tasks import TaskFilter, list_tasks
from z4j.wire.frames import Discovery, Heartbeat, Hello, RunningItem, WorkerFacts

pytestmark = pytest.mark.anyio


class Heard(list[str]):
    def __call__(self, topics: Iterable[str]) -> None:
        self.extend(topics)


def hello(boot: str, **facts: Any) -> Hello:
    given: dict[str, Any] = {
        "protocol": 1, "agent_version": "0.1.0", "boot": boot, "spool": "s1", "host": "h1", "pid": 7, "role": "worker",
        "worker": "w1", "environment": "production", "engines": {"celery": "5.7"}, "capabilities": [], "allow": "operate",
        "denied": [], "shipper": True, "at": T,
    }  # fmt: skip
    return Hello(**(given | facts))


def beat(*running: str, spool_bytes: int = 0, shipper: bool = True, pid: int = 7) -> Heartbeat:
    items = [RunningItem("celery", task_id, 0, "shop.ship", "work", T, pid) for task_id in running]
    return Heartbeat(T, items, spool_bytes, 0, 0, shipper)


async def connect_agent(store: Store, boot: str, at: int, **facts: Any) -> None:
    await store.write(lambda db: agents.record_hello(db, 1, hello(boot, at=at, **facts), at, 0))
    found = Discovery("celery", [], [], WorkerFacts("w1", "prefork", 2))
    await store.write(lambda db: agents.record_discovery(db, 1, boot, found, at))


async def hear(store: Store, boot: str, at: int, heartbeat: Heartbeat) -> None:
    await store.write(lambda db: agents.record_heartbeat(db, 1, boot, heartbeat, at))


async def leave(store: Store, boot: str, at: int) -> None:
    await store.write(lambda db: agents.record_left(db, 1, boot, at, "connection lost", is_orderly=False))


async def states(store: Store) -> dict[str, str]:
    return {row.task_id: row.state for row in (await list_tasks(store, TaskFilter())).rows}
