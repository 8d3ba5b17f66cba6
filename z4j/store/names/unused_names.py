# SPDX-License-Identifier: AGPL-3.0-or-later
"""Deletes names and processes that nothing refers to.

Which names are used is read without blocking the writer. IDs that are assigned in the meantime go through the caches
of the writer, which are emptied before the reading begins: so an id that is not among the used ones and not in the cache is referred to by
nothing. If a cache was dropped in between, the round ends without deleting, and the next one tries again.
"""

from __future__ import annotations

import asyncio
import json
import time
import zlib
from collections.abc import AsyncIterator
from typing import Final

from z4j.store.names import name_limits
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Row, Store
from z4j.store.tasks.task_deletion import DeletedTask

SQL = sql.load("names/unused_names")
WORTH_IT: Final = 1_000
"""With fewer names and processes than this, nothing is gained."""
CHUNK: Final = 50
TASKS_AT_ONCE: Final = 50_000
NAMES = ("name ids", "name texts")
BOOTS = ("runs", "boots", "counted releases")
MARK: Final = ("", "sweep")


async def is_worth_it(store: Store) -> bool:
    """Whether there are many."""
    row = await store.fetch_one(SQL["count_sweepable"])
    return row is not None and row[0] > WORTH_IT


async def list_unused_names(store: Store) -> list[int]:
    """Ids of names that nothing refers to; see the module for when they may be deleted."""
    await store.write(lambda db: _mark(db, NAMES))
    used = {row[0] for row in await store.fetch_all(SQL["used_names"])}
    async for worker_id, _ in _through_tasks(store, "used_by_runs"):
        used.add(worker_id)
    used |= {row[0] async for row in _through_tasks(store, "used_by_originals")}
    kept = await store.fetch_all(SQL["list_kept"])
    used |= await asyncio.to_thread(_names_in, [row[0] for row in kept])
    return [row[0] for row in await store.fetch_all(SQL["list_names"]) if row[0] not in used]


async def list_unused_boots(store: Store, before: int) -> list[int]:
    """Ids of processes that nothing refers to and that began before then; none where they are few, for every task has to be read."""
    await store.write(lambda db: _mark(db, BOOTS))
    old = [row[0] for row in await store.fetch_all(SQL["list_old_boots"], {"before": before})]
    if len(old) < WORTH_IT:
        return []
    used = {boot_id async for _, boot_id in _through_tasks(store, "used_by_runs")}
    used |= {row[0] async for row in _through_tasks(store, "used_by_tasks")}
    used |= {row[0] for row in await store.fetch_all(SQL["used_by_log_lines"])}
    return [id for id in old if id not in used]


async def _through_tasks(store: Store, block: str) -> AsyncIterator[Row]:
    """All rows of a block that takes a range of task ids, a range at a time: a reader that works for minutes keeps the log growing."""
    low, high = await store.fetch_one(SQL["task_ids"]) or (None, None)
    if low is not None:
        for first in range(low, high + 1, TASKS_AT_ONCE):
            for row in await store.fetch_all(SQL[block], {"first": first, "last": first + TASKS_AT_ONCE}):
                yield row


def delete_names(db: Connection, ids: list[int], seconds: float) -> int:
    """Deletes listed names until the time is up. Returns how many ids were handled; all of them if the list is no longer valid."""
    cache = db.recall("name ids")
    if MARK not in cache:
        return len(ids)
    handed_out = set(cache.values()) | name_limits.ids_in_use(db)
    done = _delete(db, "delete_name", ids, handed_out, seconds)
    if db.run_totals is not None:
        db.run_totals.forget_names(set(ids[:done]) - handed_out)
    return done


def delete_boots(db: Connection, ids: list[int], seconds: float) -> int:
    """Deletes listed processes until the time is up. Returns how many ids were handled; all of them if the list is no longer valid."""
    cache = db.recall("runs")
    if MARK not in cache:
        return len(ids)
    return _delete(db, "delete_boot", ids, {getattr(run, "boot_id", 0) for run in cache.values()}, seconds)


def _delete(db: Connection, block: str, ids: list[int], handed_out: set[int], seconds: float) -> int:
    ends, done = time.monotonic() + seconds, 0
    while done < len(ids) and (time.monotonic() < ends or not done):
        some = ids[done : done + CHUNK]
        db.executemany(SQL[block], [(id,) for id in some if id not in handed_out])
        done += len(some)
    return done


def _mark(db: Connection, caches: tuple[str, ...]) -> None:
    """Empties the caches; the mark is gone when anything empties them again."""
    name_limits.forget(db)
    for name in caches:
        db.recall(name).clear()
    db.recall(caches[0])[MARK] = 0


def _names_in(blobs: list[bytes]) -> set[int]:
    """IDs of names inside deleted tasks that can be restored (see `task_deletion`): every column of a task and its runs that may be one."""
    ids: set[int] = set()
    for blob in blobs:
        kept: DeletedTask = json.loads(zlib.decompress(blob))
        for row in (kept["task"], *kept["runs"], *kept["original"]):
            ids.update(value for value in row if isinstance(value, int) and 0 < value < 1 << 31)
    return ids
