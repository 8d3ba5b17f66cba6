# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores what is known to be missing: gaps that agents reported, their own faults, and records that the server refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Store
from z4j.wire.records import Fault, Gap, shown
from z4j.wire.texts import text

SQL = sql.load("fleet/gaps")

MOST: Final = 1_000
"""Gaps, and faults, that are kept of one app; beyond it the oldest is deleted for a new one."""
EACH: Final = 20
"""How many of one app a page shows."""


@dataclass(frozen=True, slots=True)
class GapRow:
    """`events` of `app` between `first_at` and `last_at` were dropped before they could be sent."""

    app: str
    at: int
    events: int
    bytes: int
    first_at: int
    last_at: int
    cause: str


@dataclass(frozen=True, slots=True)
class FaultRow:
    """Something inside an agent failed `events` times; its host did not notice."""

    app: str
    at: int
    place: str
    error: str
    events: int


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """`events` records of `app` could not be used, for `cause` (see `batches.decode_records`)."""

    app: str
    cause: str
    events: int
    last_at: int


def record_gap(db: Connection, app_id: int, gap: Gap) -> None:
    """Records a gap, once for each key."""
    fields = gap.facts
    db.execute(
        SQL["add_gap"],
        {
            "app_id": app_id, "key": gap.key, "at": gap.at, "events": fields.count, "bytes": fields.bytes,
            "first_at": fields.first_at, "last_at": fields.last_at, "cause": fields.cause,
        },
    )  # fmt: skip
    db.execute(SQL["trim_gaps"], {"app_id": app_id, "key": gap.key, "most": MOST})


def record_fault(db: Connection, app_id: int, fault: Fault) -> None:
    """Records a fault of an agent, once for each key."""
    fields = fault.facts
    db.execute(
        SQL["add_fault"],
        {
            "app_id": app_id, "key": fault.key, "at": fault.at, "place": text(fields.where, 200),
            "error": shown(fields.error, 1_000), "events": fields.count,
        },
    )  # fmt: skip
    db.execute(SQL["trim_faults"], {"app_id": app_id, "key": fault.key, "most": MOST})


def record_refused(db: Connection, app_id: int, refused: dict[str, int], at: int) -> None:
    """Adds to the numbers of refused records of an app. `refused` is cause → number."""
    db.executemany(SQL["add_refused"], [(app_id, cause, count, at) for cause, count in refused.items()])


async def list_gaps(store: Store, *, since: int) -> list[GapRow]:
    """Lists the newest gaps of each app that were reported since `since` (microseconds UTC)."""
    return [GapRow(*row) for row in await store.fetch_all(SQL["list_gaps"], {"since": since, "each": EACH})]


async def list_faults(store: Store, *, since: int) -> list[FaultRow]:
    """Lists the newest faults of each app's agents since `since` (microseconds UTC)."""
    return [FaultRow(*row) for row in await store.fetch_all(SQL["list_faults"], {"since": since, "each": EACH})]


async def list_refused(store: Store) -> list[RefusedRow]:
    """Lists every cause for which records of an app were refused, newest first."""
    return [RefusedRow(*row) for row in await store.fetch_all(SQL["list_refused"])]
