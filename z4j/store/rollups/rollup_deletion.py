# SPDX-License-Identifier: AGPL-3.0-or-later
"""Deletes old sums in slices. A step that is deleted is never created a second time: its horizon moves first, in the transaction of each
slice.

Series without sums are found as names without use are (see `store.names.unused_names`): which have sums is read without holding the writer,
after its cache of series was emptied; a series that is neither among those nor in the cache since is used by nothing.
"""

from __future__ import annotations

import time
from typing import Final

from z4j.store.rollups import rollup_writer
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Store

SQL = sql.load("rollups/rollup_deletion")
SOME: Final = 100
"""Rows deleted between two looks at the clock."""
OLD: Final = ("delete_rollups", "delete_buckets", "delete_worker_rollups", "delete_queue_rollups")
OF_APP: Final = ("delete_rollups_of", "delete_buckets_of", "delete_worker_rollups_of", "delete_queue_rollups_of")


def move_horizon(db: Connection, app_id: int, step: int, before: int) -> None:
    """Decides that the sums of a step before a time (microseconds UTC) are deleted."""
    db.execute(SQL["move_horizon"], {"app_id": app_id, "step": step, "before": before})
    rollup_writer.forget_horizons(db)


def delete_old(db: Connection, step: int, before: int, seconds: float) -> tuple[bool, int]:
    """Deletes sums of a step before a time until `seconds` are over. Returns (whether nothing is left, rows deleted)."""
    move_horizon(db, rollup_writer.EVERY_APP, step, before)
    db.sum_cache.stage_deletion(step, before)
    return _delete(db, OLD, {"step": step, "before": before}, seconds)


def delete_of_app(db: Connection, app_id: int, step: int, at: int, seconds: float) -> tuple[bool, int]:
    """Deletes the sums of one app of the step that begins at `at`, as `delete_old`."""
    move_horizon(db, app_id, step, at + 1)
    db.sum_cache.stage([(step, at)])
    return _delete(db, OF_APP, {"step": step, "at": at, "app_id": app_id}, seconds)


def _delete(db: Connection, blocks: tuple[str, ...], params: dict[str, int], seconds: float) -> tuple[bool, int]:
    ends, rows = time.monotonic() + seconds, 0
    for block in blocks:
        deleted = SOME
        while deleted == SOME:
            if rows and time.monotonic() > ends:
                return False, rows
            deleted = db.execute(SQL[block], {**params, "limit": SOME}).rowcount
            rows += deleted
    return True, rows


async def list_unused_series(store: Store) -> list[int]:
    """Ids of series without sums in any step; see the module for when they may be deleted."""
    await store.write(rollup_writer.mark_series)
    return [row[0] for row in await store.fetch_all(SQL["list_unused_series"])]


def delete_series(db: Connection, ids: list[int], seconds: float) -> int:
    """Deletes listed series until the time is up. Returns how many ids were handled; all of them if the list is no longer valid."""
    in_use = rollup_writer.series_since_mark(db)
    if in_use is None:
        return len(ids)
    db.sum_cache.stage_all()  # an id may be given again
    ends, done = time.monotonic() + seconds, 0
    while done < len(ids) and (time.monotonic() < ends or not done):
        some = ids[done : done + SOME]
        db.executemany(SQL["delete_series"], [(id,) for id in some if id not in in_use])
        done += len(some)
    rollup_writer.forget_counts(db)
    return done
