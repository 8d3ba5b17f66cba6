# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is kept, and for how long. Deletes in small slices, so that ingest never waits long for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from z4j.store import merge, plans, sql
from z4j.store.db import Connection
from z4j.store.merge import MINUTE_US

SQL = sql.load("retention")

DAY_US: Final = 24 * 3_600_000_000
EVER: Final = 1 << 62
PAGES_AT_ONCE: Final = 5_000


@dataclass(frozen=True, slots=True)
class Retention:
    """How long tasks are kept (days), how large the database may grow (bytes), and how long originals of succeeded
    tasks are kept (days). Whatever limit is reached first decides; a scheduled task is never deleted for its age."""

    days: int = 30
    max_bytes: int = 10_000_000_000
    originals_days: int = 7


def delete_slice(db: Connection, keep: Retention, at: int, limit: int = 500) -> int:
    """Delete up to `limit` tasks that are too old, or while the database is too large, the oldest. Returns how many."""
    before = at - keep.days * DAY_US
    rows = db.execute(SQL["list_old"], {"before": before, "limit": limit}).fetchall()
    if not rows and used_bytes(db) > keep.max_bytes:
        rows = db.execute(SQL["list_old"], {"before": EVER, "limit": limit}).fetchall()
    if rows:
        delete_tasks(db, rows)
    return len(rows)


def sweep_originals(db: Connection, keep: Retention, at: int, limit: int = 500) -> int:
    """Delete originals of up to `limit` tasks that succeeded long enough ago. Returns how many tasks were looked at."""
    before = at - keep.originals_days * DAY_US
    row = db.execute(SQL["read_swept"]).fetchone()
    since = row[0] if row else 0
    found = db.execute(SQL["list_succeeded"], {"since": since, "before": before, "limit": limit}).fetchall()
    if found:
        db.executemany(SQL["delete_original"], [(id,) for id, _ in found])
        # One further than the last: a slice of one and the same microsecond must not be looked at for ever.
        db.execute(SQL["put_swept"], {"at": str(found[-1][1] + 1)})
    return len(found)


def delete_details(db: Connection, keep: Retention, at: int) -> None:
    """Delete what no task holds on to: old minutes, gaps, faults, processes that are gone."""
    before = at - keep.days * DAY_US
    db.execute(SQL["delete_minutes"], {"before": before // MINUTE_US})
    for block in ("delete_gaps", "delete_faults", "delete_agents"):
        db.execute(SQL[block], {"before": before})
    db.execute(SQL["delete_empty_counters"])
    plans.forget_plans(db, before)
    # One at a time, because Python's driver stops this statement after its first step, which is one page.
    for _ in range(min(db.execute(SQL["read_used"]).fetchone()[1], PAGES_AT_ONCE)):
        db.execute(SQL["return_page"])


def used_bytes(db: Connection) -> int:
    """Bytes of the database that hold something."""
    return int(db.execute(SQL["read_used"]).fetchone()[0])


def delete_tasks(db: Connection, rows: list[tuple[Any, ...]]) -> None:
    """Delete tasks given as (row id, app, environment, engine, queue, name, state), the last six as the counters count them."""
    db.execute(SQL["keep_newest"])
    ids = [(row[0],) for row in rows]
    for block in ("delete_runs", "delete_original", "delete_links", "delete_task"):
        db.executemany(SQL[block], ids)
    gone: dict[tuple[Any, ...], int] = {}
    for row in rows:
        gone[row[1:]] = gone.get(row[1:], 0) + 1
    merge.remove(db, [(*place, tasks) for place, tasks in gone.items()])
