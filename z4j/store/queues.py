# SPDX-License-Identifier: AGPL-3.0-or-later
"""Queues: what the brokers say of them beside what the tasks say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from z4j.store import names, sql
from z4j.store.db import Connection, Store

SQL = sql.load("queues")


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One queue. `depth`, `consumers`, `oldest_at`, `delayed`, `dead` and `seen_at` come from the broker, None where it cannot tell."""

    app: str
    environment: str
    engine: str
    name: str
    depth: int | None
    consumers: int | None
    oldest_at: int | None
    delayed: int | None
    dead: int | None
    seen_at: int | None
    scheduled: int
    waiting: int
    running: int
    retrying: int
    failed: int


def record(
    db: Connection,
    app_id: int,
    environment_id: int,
    seen: Iterable[tuple[str, str, int | None, int | None, int | None, int | None, int | None]],
    at: int,
) -> None:
    """Note queues as (engine, name, depth, consumers, oldest_at, delayed, dead)."""
    db.executemany(
        SQL["put_queue"],
        [
            (app_id, environment_id, names.intern(db, "engine", engine), names.intern(db, "queue", name), *facts, at)
            for engine, name, *facts in seen
        ],
    )


async def list_queues(store: Store) -> list[QueueRow]:
    """Every queue a broker told about or a task named, by app, environment, engine and name."""
    rows = await store.fetch_all(SQL["list_queues"])
    return [QueueRow(row[0], row[1] or "", row[2] or "", row[3], *row[4:10], *(count or 0 for count in row[10:])) for row in rows]
