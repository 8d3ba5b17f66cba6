# SPDX-License-Identifier: AGPL-3.0-or-later
"""A real database in a folder of its own, with one app called "shop" (id 1), and records to fill it with.

A process of tests migrates one database. Every test gets a copy of it: 30 migrations cost 34 ms of a processor, and a copy costs 1 ms."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from z4j.agents.ingest import Ingested, ingest_batch
from z4j.store.sqlite.db import Store
from z4j.store.sqlite.migrate import migrate
from z4j_agent import wire

T = 1_795_000_000_000_000
"""Some moment, microseconds UTC."""
SECOND = 1_000_000
BOOT = "b00t"


@functools.cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "z4j.db")
        migrate(path)
        return path.read_bytes()


def create_database(path: Path) -> None:
    """Creates an empty database of the newest schema, as `migrate` does: with its modes, and owned by this user alone. One that exists is
    migrated and keeps its content."""
    if path.exists():
        migrate(path)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(_migrated())


@asynccontextmanager
async def database(folder: Path) -> AsyncIterator[Store]:
    path = folder / "z4j.db"
    create_database(path)
    store = Store(path)
    await store.start()
    try:
        await store.write(lambda db: db.execute("INSERT INTO app (name, created_at) VALUES ('shop', 0)").rowcount)
        yield store
    finally:
        await store.close()


def origin(boot: str = BOOT, at: int = T, **facts: Any) -> list[Any]:
    known = {"host": "h1", "pid": 7, "role": "worker", "worker": "w1", "environment": "production", "release": "1.0"}
    return ["origin", boot, at, known | facts]


def task(kind: str, task_id: str, at: int, *rest: Any, attempt: int = 0, run: str = f"{BOOT}.7", **head: Any) -> list[Any]:
    """A task record; `rest` as in `wire.TASK_RECORDS`, filled up with null."""
    fields = len(wire.TASK_RECORDS[kind])
    return [
        kind, head.get("engine", "celery"), task_id, attempt, at, run, head.get("name", "shop.ship"), head.get("queue", "work"),
        *rest, *[None] * (fields - len(rest)),
    ]  # fmt: skip


def life(task_id: str, at: int, end: str = "succeeded", **head: Any) -> list[list[Any]]:
    """Enqueued, received, started and ended, a second apart."""
    rest = {
        "succeeded": (at + SECOND, at + 2 * SECOND, 900_000, "ok"),
        "failed": (at + SECOND, at + 2 * SECOND, 900_000, "", "ValueError", "bad", "Traceback …"),
    }[end]
    return [
        task("enqueued", task_id, at, **head),
        task("received", task_id, at + SECOND, **head),
        task("started", task_id, at + 2 * SECOND, **head),
        task(end, task_id, at + 3 * SECOND, *rest, **head),
    ]


async def tell(store: Store, *records: list[Any], at: int = T + 3_600 * SECOND, app_id: int = 1) -> Ingested:
    return await ingest_batch(store, app_id, b"".join(wire.encode_record(record) for record in records), at=at)
