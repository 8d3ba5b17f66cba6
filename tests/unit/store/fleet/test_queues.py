# SPDX-License-Identifier: AGPL-3.0-or-later
"""Two queues of one name in two brokers are two rows."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import T, database, origin, task, tell
from z4j.store.fleet import agents
from z4j.store.fleet.queues import list_queues
from z4j.store.sqlite.db import Store
from z4j.store.sqlite.migrate import migrate, migrations
from z4j.store.tasks import bulk_deletion
from z4j.wire.frames import Discovery, EngineQueueItem, Heartbeat, Hello, QueueItem

pytestmark = pytest.mark.anyio
A, B, ALIAS = "redis://a:6379/0", "redis://b:6379/0", "redis://cache:6379/0"
MINUTE = 60_000_000
DAY = 24 * 60 * MINUTE


async def say(store: Store, at: int, *queues: QueueItem) -> None:
    hello = Hello(1, "0.1.0", "b1", "s", "h", 7, "worker", "production", {"huey": "3"}, [], "all", [], True, at, "w1")
    await store.write(lambda db: agents.record_hello(db, 1, hello, at, 0))
    await store.write(lambda db: agents.record_discovery(db, 1, "b1", Discovery("huey", [], list(queues)), at))


async def listed(store: Store, same: dict[tuple[int, str, str], str] | None = None) -> list[tuple[Any, ...]]:
    return [(row.name, row.broker, row.depth, row.is_in_several_brokers) for row in await list_queues(store, same=same or {})]


def of(broker: str, depth: int, name: str = "mail") -> QueueItem:
    return QueueItem(name, depth, broker=broker)


async def test_each_broker_has_its_own_depth(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await say(store, T, of(A, 3), of(B, 5), of(A, 1, "alone"))
        assert await listed(store) == [("alone", A, 1, False), ("mail", A, 3, True), ("mail", B, 5, True)]
        beat = Heartbeat(T, [], 0, 0, 0, True, [EngineQueueItem("huey", "mail", 4, broker=A)])
        await store.write(lambda db: agents.record_heartbeat(db, 1, "b1", beat, T + 1))
        assert await listed(store) == [("alone", A, 1, False), ("mail", A, 4, True), ("mail", B, 5, True)]


async def test_what_tasks_say_is_of_the_name(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), *(task("enqueued", id, T, queue="mail") for id in ("a", "b")))
        [row] = await list_queues(store)
        engine = row.engine
        hello = Hello(1, "0.1.0", "b1", "s", "h", 7, "worker", "production", {engine: "3"}, [], "all", [], True, T, "w1")
        await store.write(lambda db: agents.record_hello(db, 1, hello, T, 0))
        await store.write(lambda db: agents.record_discovery(db, 1, "b1", Discovery(engine, [], [of(A, 1), of(B, 1)]), T))
        assert [(row.broker, row.waiting) for row in await list_queues(store)] == [(A, 2), (B, 2)]


async def test_two_addresses_of_one_broker_are_one_row(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await say(store, T, of(A, 3))
        await say(store, T + MINUTE, of(ALIAS, 4))
        same = {(1, "huey", A): A, (1, "huey", ALIAS): A}
        assert await listed(store, same) == [("mail", A, 4, False)], "the newest word"
        assert [row[1] for row in await listed(store, {(2, "huey", ALIAS): A})] == [A, ALIAS], "another app's word proves nothing"


async def test_an_address_that_is_used_no_more_is_shown_no_more(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await say(store, T, of("", 2), of(A, 3))
        assert [row[1] for row in await listed(store)] == ["", A], "an older agent does not name its broker"
        await say(store, T + 6 * MINUTE, of(A, 3))
        assert await listed(store) == [("mail", A, 3, False)]
        await say(store, T + DAY, of(B, 3))
        assert [row[1] for row in await listed(store)] == [A, B]
        await say(store, T + DAY + 7 * MINUTE, of(B, 3))
        assert await listed(store) == [("mail", B, 3, False)]


async def test_retention_deletes_the_one_that_is_old(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await say(store, T, of(A, 3))
        await say(store, T + MINUTE, of(B, 3))
        before = {"before": T + 1, "app_id": -1, "limit": 10}
        await store.write(lambda db: db.execute(bulk_deletion.SQL["delete_queues"], before))
        assert await listed(store) == [("mail", B, 3, False)]


def test_what_was_known_before_stays(tmp_path: Path) -> None:
    path = tmp_path / "z4j.db"
    with sqlite3.connect(path) as db:
        for number, text in [each for each in migrations() if each[0] < 22]:
            db.executescript(text)
            db.execute(f"PRAGMA user_version = {number}")
        db.execute("INSERT INTO app (id, name, created_at) VALUES (1, 'shop', 0)")
        db.execute("INSERT INTO queue (app_id, environment_id, engine_id, queue_id, depth, seen_at, delayed) VALUES (1, 2, 3, 4, 5, 6, 7)")
    db.close()
    migrate(path)
    with sqlite3.connect(path) as db:
        columns = "app_id, environment_id, engine_id, queue_id, broker_id, depth, seen_at, delayed, dead"
        found = db.execute(f"SELECT {columns} FROM queue").fetchall()
    db.close()
    assert found == [(1, 2, 3, 4, 0, 5, 6, 7, None)]
