# SPDX-License-Identifier: AGPL-3.0-or-later
"""Deletes old data in slices: a reading connection lists what to delete, and each function that deletes stops when its time is up, so that
ingest never waits long. When they are called: see `background.retention`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from z4j.store.errors import error_changes
from z4j.store.logs import log_deletion
from z4j.store.logs.log_deletion import DeletedId
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Row, Store
from z4j.store.tasks import reused_ids, task_changes, task_writer

SQL = sql.load("tasks/bulk_deletion")

NO_CUTOFF: Final = 1 << 62
CHUNK: Final = 20
"""Tasks deleted between two looks at the clock: less than a millisecond."""
SOME: Final = 100
"""Rows of other tables deleted between two looks at the clock."""
LISTED_BY_APPS: Final = ("delete_queues", "delete_task_names")
DETAILS: Final = ("delete_gaps", "delete_faults", "delete_agents", "delete_queues", "delete_task_names")


@dataclass(frozen=True, slots=True)
class Retention:
    """How long tasks are kept (days), how large the database may grow (bytes), and how long originals of succeeded tasks and errors
    without tasks that people have annotated are kept (days). Whatever limit is reached first decides; a scheduled task is never deleted
    for its age."""

    days: int = 30
    max_bytes: int = 10_000_000_000
    originals_days: int = 7
    errors_days: int = 365


class WalkPosition(NamedTuple):
    """Where a walk over the tasks in the order they came has got to."""

    first_at: int = -1
    id: int = 0


@dataclass(frozen=True, slots=True)
class DeletionFilter:
    """Which tasks a walk looks for: from before a time, ended or not heard of since `quiet`, or any; of one app, or of all (0)."""

    before: int
    quiet: int
    app_id: int = 0
    is_any: bool = False


async def list_deletable(store: Store, which: DeletionFilter, after: WalkPosition, limit: int) -> tuple[list[int], WalkPosition, bool]:
    """Returns some row ids to delete, the position of the walk, and whether the walk has reached the end."""
    params = {
        "since": after.first_at, "id": after.id, "before": which.before, "quiet": which.quiet, "is_any": which.is_any, "limit": limit,
    }  # fmt: skip
    rows = await store.fetch_all(SQL["list_first"], params)
    deletable = [row[0] for row in rows if row[3] and which.app_id in (0, row[2])]
    return deletable, WalkPosition(rows[-1][1], rows[-1][0]) if rows else after, len(rows) < limit


def delete_listed(db: Connection, ids: list[int], which: DeletionFilter, seconds: float) -> tuple[int, int]:
    """Deletes tasks until the time is up. Tasks that changed since they were listed stay. Returns (number of ids handled, number
    deleted)."""
    ends = time.monotonic() + seconds
    db.execute(SQL["keep_newest"])
    gone: dict[Row, int] = {}
    deleted = done = 0
    while done < len(ids) and (time.monotonic() < ends or not done):
        params = {"ids": json.dumps(ids[done : done + CHUNK]), "quiet": which.quiet, "is_any": which.is_any}
        rows = db.execute(SQL["delete_tasks"], params).fetchall()
        ids_gone: list[DeletedId] = []
        for row in rows:
            place, (id, came_again, life, task_id, first_at, last_at) = row[:6], row[6:]
            span = (first_at, last_at) if came_again else ()
            ids_gone.append(DeletedId(task_id, place[0], place[2], *span))
            gone[place] = gone.get(place, 0) + 1
            task_writer.forget_task(db, (place[0], place[2], task_id))
            if came_again:
                reused_ids.forget_row(db, id, (place[0], place[2], task_id), is_newest=not life)
        _delete_parts(db, [row[6] for row in rows])
        log_deletion.delete_of_tasks(db, ids_gone)
        deleted += len(rows)
        done = min(done + CHUNK, len(ids))
    task_changes.remove(db, [(*place, tasks) for place, tasks in gone.items()])
    return done, deleted


async def list_swept(store: Store, before: int, after: WalkPosition | None, limit: int) -> tuple[list[int], WalkPosition, bool]:
    """Lists succeeded tasks whose originals are old enough to delete, as `list_deletable`. With `after` None it starts where the last
    server stopped."""
    if after is None:
        row = await store.fetch_one(SQL["read_swept"])
        after = WalkPosition(row[0] - 1 if row else -1, NO_CUTOFF)
    params = {"since": after.first_at, "id": after.id, "before": before, "limit": limit}
    rows = await store.fetch_all(SQL["list_succeeded"], params)
    return [row[0] for row in rows], WalkPosition(rows[-1][1], rows[-1][0]) if rows else after, len(rows) < limit


def delete_originals(db: Connection, ids: list[int], seconds: float) -> int:
    """Deletes originals until the time is up. Returns how many ids were handled."""
    ends, done = time.monotonic() + seconds, 0
    while done < len(ids) and (time.monotonic() < ends or not done):
        db.execute(SQL["delete_originals"], (json.dumps(ids[done : done + CHUNK]),))
        done = min(done + CHUNK, len(ids))
    return done


def note_swept(db: Connection, place: WalkPosition) -> None:
    """Originals of tasks that came up to then are gone."""
    db.execute(SQL["put_swept"], {"at": str(place.first_at)})


def delete_some(db: Connection, block: str, params: Mapping[str, int], seconds: float) -> tuple[bool, int]:
    """Runs one of the blocks that delete `:limit` rows until the time is up. Returns (whether nothing is left to delete, rows deleted)."""
    ends, rows, deleted = time.monotonic() + seconds, 0, SOME
    while deleted == SOME and (time.monotonic() < ends or not rows):
        deleted = db.execute(SQL[block], {**params, "limit": SOME}).rowcount
        rows += deleted
    return deleted < SOME, rows


async def list_empty_counters(store: Store, limit: int) -> list[Row]:
    """Keys of counters that count nothing."""
    return await store.fetch_all(SQL["list_empty_counters"], {"limit": limit})


def delete_empty_counters(db: Connection, keys: Iterable[Row]) -> None:
    """Deletes these counters if they still count nothing."""
    db.executemany(SQL["delete_empty_counter"], list(keys))


def return_pages(db: Connection, keep: int, seconds: float) -> tuple[bool, int]:
    """Returns free pages to the file system, all but `keep`, until the time is up. Returns (whether none is left, number of pages)."""
    ends, pages = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        if free_pages(db) <= keep:
            return True, pages
        # One at a time, because Python's driver stops this statement after its first step, which is one page.
        for _ in range(SOME // 4):
            db.execute(SQL["return_page"])
        pages += SOME // 4
    return False, pages


def used_bytes(db: Connection) -> int:
    """Bytes of the database that hold something."""
    return int(db.execute(SQL["read_used"]).fetchone()[0])


def free_pages(db: Connection) -> int:
    """Pages of the file that hold nothing."""
    return int(db.execute(SQL["read_used"]).fetchone()[1])


async def read_size(store: Store) -> tuple[int, int]:
    """Returns (bytes in use, free pages), from a reader."""
    row = await store.fetch_one(SQL["read_used"])
    return (int(row[0]), int(row[1])) if row else (0, 0)


async def oldest_task(store: Store) -> int | None:
    """Returns the time of the oldest task in microseconds UTC, or None."""
    row = await store.fetch_one(SQL["oldest_task"])
    return row[0] if row else None


def delete_tasks(db: Connection, ids: list[int]) -> None:
    """Deletes these tasks in any state, with everything that belongs to them."""
    delete_listed(db, ids, DeletionFilter(NO_CUTOFF, NO_CUTOFF, is_any=True), NO_CUTOFF)


def _delete_parts(db: Connection, ids: list[int]) -> None:
    if ids:
        listed = (json.dumps(ids),)
        for block in ("delete_runs", "delete_notes", "delete_originals", "delete_links", "delete_relations"):
            db.execute(SQL[block], listed)
        error_changes.remove(db, ids)
