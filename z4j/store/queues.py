# SPDX-License-Identifier: AGPL-3.0-or-later
"""Queues: what the brokers say of them beside what the tasks say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from z4j.store import sql
from z4j.store.db import Connection, Store
from z4j.store.name_limits import flush, intern, is_known

SQL = sql.load("queues")


SOME: Final = 500


class Place(NamedTuple):
    """A place in the order of queues."""

    app: str
    environment: str
    engine: str
    name: str


FIRST: Final = Place("", "", "", "")
"""Before all of them."""


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
    """Note queues as (engine, name, depth, consumers, oldest_at, delayed, dead). Beyond the limit of names they are counted alone."""
    db.executemany(
        SQL["put_queue"],
        [
            (app_id, environment_id, intern(db, app_id, "engine", engine), intern(db, app_id, "queue", name), *facts, at)
            for engine, name, *facts in seen
            if is_known(db, app_id, "queue", name) and is_known(db, app_id, "engine", engine)
        ],
    )
    flush(db, app_id)


async def list_queues(
    store: Store, *, app: str = "", environment: str = "", engine: str = "", name: str | None = None, after: Place = FIRST,
    limit: int = 5_000,
) -> list[QueueRow]:  # fmt: skip
    """Queues that a broker told about or a task named, by app, environment, engine and name; "" and None are any. `after` is the place of
    the last row of the page before."""
    app_id = -1
    if app:
        found = await store.fetch_one(SQL["find_app"], {"app": app})
        app_id = found[0] if found else 0
    params = {
        "app_id": app_id, "environment": environment, "engine": engine, "name": name, "limit": limit, "after_app": after.app,
        "after_environment": after.environment, "after_engine": after.engine, "after_name": after.name,
    }  # fmt: skip
    return [QueueRow(*row[:10], *(count or 0 for count in row[10:])) for row in await store.fetch_all(SQL["list_queues"], params)]


async def each_queue(store: Store, *, app: str = "", environment: str = "", engine: str = "") -> AsyncIterator[QueueRow]:
    """All of them, some at a time."""
    after: Place | None = FIRST
    while after is not None:
        rows = await list_queues(store, app=app, environment=environment, engine=engine, after=after, limit=SOME)
        for row in rows:
            yield row
        after = place_of(rows[-1]) if len(rows) == SOME else None


def place_of(row: QueueRow) -> Place:
    """Where a queue stands in their order."""
    return Place(row.app, row.environment, row.engine, row.name)
