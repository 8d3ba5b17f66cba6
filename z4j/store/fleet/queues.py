# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores queues as their brokers report them, and counts their tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from z4j.store.names.name_limits import flush, intern, is_known
from z4j.store.rollups.rollup_writer import QueueKey, add_queue_report
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Row, Store

SQL = sql.load("fleet/queues")

SameBrokers = Mapping[tuple[int, str, str], str]
"""(app, engine, identity) of a broker that has several identities → one of them for all, see `Hub.same_brokers`."""
NONE: Final[SameBrokers] = MappingProxyType({})
SOME: Final = 500
KEPT_US: Final = 24 * 3_600_000_000
"""How much older than that of another broker the report of a queue may be and still be listed beside it."""
UNNAMED_US: Final = 300_000_000
"""The same of a report that does not name its broker."""


class Position(NamedTuple):
    """A place in the order of queues."""

    app: str
    environment: str
    engine: str
    name: str


FIRST: Final = Position("", "", "", "")
"""Before all of them."""


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One queue of one broker. `depth`, `consumers`, `oldest_at`, `delayed`, `dead` and `seen_at` come from the broker, None where it
    does not report it."""

    app: str
    environment: str
    engine: str
    name: str
    broker: str
    """The identity of its broker, "" where no agent reported it."""
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
    is_in_several_brokers: bool = False
    """Whether the app has a queue of this name in other brokers, too. Tasks (`scheduled` to `failed`) are counted by the name alone then:
    each row has the sum."""

    @property
    def needed_broker(self) -> str:
        """The broker that a link or a command has to name; "" where the queue's name is enough."""
        return self.broker if self.is_in_several_brokers else ""


def record(
    db: Connection,
    app_id: int,
    environment_id: int,
    seen: Iterable[tuple[str, str, str, int | None, int | None, int | None, int | None, int | None]],
    at: int,
) -> None:
    """Records queues as (engine, name, broker, depth, consumers, oldest_at, delayed, dead). Queues beyond the limit of names are only
    counted."""
    rows: list[tuple[Any, ...]] = [
        (
            app_id, environment_id, intern(db, app_id, "engine", engine), intern(db, app_id, "queue", name),
            intern(db, app_id, "broker", broker), *facts, at,
        )
        for engine, name, broker, *facts in seen
        if is_known(db, app_id, "queue", name) and is_known(db, app_id, "engine", engine)
    ]  # fmt: skip
    db.executemany(SQL["put_queue"], rows)
    for app, place, engine_id, queue_id, broker_id, depth, _, oldest_at, delayed, dead, _ in rows:
        if depth is not None:
            add_queue_report(db, QueueKey(app, place, engine_id, queue_id, broker_id), at, depth, oldest_at, delayed, dead)
    flush(db, app_id)


async def list_queues(
    store: Store, *, app: str = "", environment: str = "", engine: str = "", name: str | None = None, after: Position = FIRST,
    limit: int = 5_000, same: SameBrokers = NONE,
) -> list[QueueRow]:  # fmt: skip
    """Queues that a broker reported or a task named, by app, environment, engine, name and broker; "" and None are any. `after` is the
    place of the last row of the page before, `limit` a number of places: a queue of several brokers has a row for each at one place."""
    app_id = -1
    if app:
        app_row = await store.fetch_one(SQL["find_app"], {"app": app})
        app_id = app_row[0] if app_row else 0
    params = {
        "app_id": app_id, "environment": environment, "engine": engine, "name": name, "limit": limit, "after_app": after.app,
        "after_environment": after.environment, "after_engine": after.engine, "after_name": after.name,
    }  # fmt: skip
    return _in_use(_row(row, same) for row in await store.fetch_all(SQL["list_queues"], params))


async def page_of(
    store: Store, *, app: str = "", environment: str = "", engine: str = "", after: Position = FIRST, limit: int, same: SameBrokers = NONE
) -> tuple[list[QueueRow], Position | None]:
    """Returns one page of queues, and the position of the next page, or None on the last page."""
    rows = await list_queues(store, app=app, environment=environment, engine=engine, after=after, limit=limit + 1, same=same)
    places = list(dict.fromkeys(place_of(row) for row in rows))
    if len(places) <= limit:
        return rows, None
    return [row for row in rows if place_of(row) != places[-1]], places[-2]


async def each_queue(
    store: Store, *, app: str = "", environment: str = "", engine: str = "", same: SameBrokers = NONE
) -> AsyncIterator[QueueRow]:
    """Yields all queues, read page by page."""
    after: Position | None = FIRST
    while after is not None:
        rows, after = await page_of(store, app=app, environment=environment, engine=engine, after=after, limit=SOME, same=same)
        for row in rows:
            yield row


def _row(row: Row, same: SameBrokers) -> QueueRow:
    app_id, app, environment, engine, name, broker, *seen = row
    return QueueRow(
        app, environment, engine, name, same.get((app_id, engine, broker), broker), *seen[:6], *(count or 0 for count in seen[6:])
    )


def _in_use(rows: Iterable[QueueRow]) -> list[QueueRow]:
    """The newest report of each broker at each place. Where another broker has the queue, an old report, and one that names no broker, is
    of an address that is no longer used."""
    at_place: dict[Position, dict[str, QueueRow]] = {}
    for row in rows:
        brokers = at_place.setdefault(place_of(row), {})
        if (known := brokers.get(row.broker)) is None or (row.seen_at or 0) > (known.seen_at or 0):
            brokers[row.broker] = row
    rows_in_use: list[QueueRow] = []
    for brokers in at_place.values():
        newest = max(row.seen_at or 0 for row in brokers.values())
        kept = [row for row in brokers.values() if newest - (row.seen_at or 0) <= (KEPT_US if row.broker else UNNAMED_US)]
        rows_in_use += [replace(row, is_in_several_brokers=True) for row in kept] if len(kept) > 1 else kept
    return rows_in_use


def place_of(row: QueueRow) -> Position:
    """Returns the position of a queue in the order of pages."""
    return Position(row.app, row.environment, row.engine, row.name)
