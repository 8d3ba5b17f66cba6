# SPDX-License-Identifier: AGPL-3.0-or-later
"""Deletes log lines: with their task, for their age, and the oldest of an app that has too many."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final, NamedTuple

from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Row, Store

SQL = sql.load("logs/log_lines")

SOME: Final = 20
"""Runs deleted between two looks at the clock."""
ANY_TIME: Final = 1 << 62


class DeletedId(NamedTuple):
    """The id of a deleted task, and between which times it was reported, if its id has other executions."""

    task_id: bytes
    app_id: int
    engine_id: int
    since: int = -1
    until: int = ANY_TIME


class Usage(NamedTuple):
    """What the lines of an app take."""

    app_id: int
    lines: int
    bytes: int


def delete_of_tasks(db: Connection, ids: Iterable[DeletedId]) -> None:
    """Deletes the lines of deleted tasks."""
    if not db.execute(SQL["has_lines"]).fetchone()[0]:
        return
    for id in ids:
        _delete(db, db.execute(SQL["list_of_id"], id._asdict()).fetchall())


def delete_old(db: Connection, before: int, seconds: float) -> tuple[bool, int]:
    """Deletes runs whose last line is from before then (microseconds UTC), until the time is up. Returns (whether none is left, number of
    lines)."""
    ends, lines = time.monotonic() + seconds, 0
    while True:
        rows = db.execute(SQL["list_old"], {"before": before, "limit": SOME}).fetchall()
        _delete(db, rows)
        lines += sum(row[2] for row in rows)
        if len(rows) < SOME or time.monotonic() > ends:
            return len(rows) < SOME, lines


def delete_oldest(db: Connection, app_id: int, over: int, seconds: float) -> tuple[int, int]:
    """Deletes the runs of an app whose last line is the oldest: about `over` bytes, or until the time is up. Returns (number of lines,
    bytes); (0, 0) if there are none."""
    ends, lines, freed = time.monotonic() + seconds, 0, 0
    while freed < over and (time.monotonic() < ends or not lines):
        rows = db.execute(SQL["list_oldest"], {"app_id": app_id, "limit": 1}).fetchall()
        if not rows:
            break
        _delete(db, rows)
        lines, freed = lines + max(rows[0][2], 1), freed + max(rows[0][3], 1)
    return lines, freed


async def list_usage(store: Store) -> list[Usage]:
    """Returns what the lines of each app take, of those that have any."""
    return [Usage(*row) for row in await store.fetch_all(SQL["list_usage"])]


def _delete(db: Connection, runs: Iterable[Row]) -> None:
    for id, app_id, lines, size in runs:
        db.execute(SQL["delete_lines"], (id,))
        db.execute(SQL["delete_run"], (id,))
        db.execute(SQL["count_usage"], {"app_id": app_id, "lines": -lines, "bytes": -size})
