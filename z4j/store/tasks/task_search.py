# SPDX-License-Identifier: AGPL-3.0-or-later
"""Finds the tasks of one page. Only this module of the store knows cursors and walks; `tasks` uses it.

A page is found by walking the narrowest index. Where its filters leave few tasks of many, the walk stops after ten
milliseconds and says how far it came: a page never pretends to be complete.
"""

from __future__ import annotations

import contextlib
import heapq
import sqlite3
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from z4j import clock
from z4j.exceptions import BadInput
from z4j.rules.tasks.states import STATES
from z4j.store.names import names
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Store
from z4j.store.tasks import task_ids

SQL = sql.load("tasks/tasks")

WALK_US: Final = 10_000
LOOK_EVERY: Final = 16
"""Rows between two looks at the clock."""
ANY: Final = -1
ALL_STATES: Final = sum(1 << code for code in STATES.values())
END_OF_TIME: Final = 1 << 62

Position = tuple[int, int]
"""first_at and id of a task: the order of every list, newest first."""
Params = dict[str, int | bytes | str]


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """What a list of tasks is narrowed to; empty means any. Times are microseconds UTC of `first_at`, until excluded."""

    states: tuple[str, ...] = ()
    name: str = ""
    queue: str = ""
    engine: str = ""
    worker: str = ""
    app: str = ""
    environment: str = ""
    since: int | None = None
    until: int | None = None
    task_id: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """Ids in the order of the page, and where the neighbouring pages begin."""

    ids: list[int]
    older: str | None
    newer: str | None
    searched_to: int | None


def cursor(position: Position) -> str:
    """Returns a position in the list as the text in a URL."""
    return f"{position[0]}-{position[1]}"


def position(text: str) -> Position:
    """Returns the position of a cursor. Raises BadInput."""
    at, _, id = text.partition("-")
    if not (at.isascii() and at.isdigit() and id.isascii() and id.isdigit() and len(text) < 40):
        raise BadInput("This page of the list does not exist.", "Open the first page of the list.")
    return min(int(at), END_OF_TIME), min(int(id), END_OF_TIME)


async def resolve(store: Store, f: TaskFilter) -> Params | None:
    """Returns the filter as parameters for SQL; None if it names something that no task has. Raises BadInput for an unknown state."""
    unknown = [state for state in f.states if state not in STATES]
    if unknown:
        raise BadInput(f"Unknown state “{unknown[0]}”.", f"States are: {', '.join(STATES)}.")
    texts = {
        "name": f.name, "queue": f.queue, "engine": f.engine, "worker": f.worker, "environment": f.environment,
    }  # fmt: skip
    ids = await names.find(store, texts)
    params: Params = {"states": sum(1 << STATES[state] for state in set(f.states)) or ALL_STATES, "app_id": ANY, "label": f.label}
    for kind, text in texts.items():
        if text and kind not in ids:
            return None
        params[f"{kind}_id"] = ids.get(kind, ANY)
    if f.app:
        row = await store.fetch_one(SQL["find_app"], {"name": f.app})
        if row is None:
            return None
        params["app_id"] = row[0]
    return params


async def find(store: Store, f: TaskFilter, older: str | None, newer: str | None, limit: int) -> Found:
    """Finds one page of at most `limit` tasks, beyond the cursor `older` or `newer`, else the newest. Raises BadInput."""
    params = await resolve(store, f)
    at = newer or older
    start = position(at) if at else (f.until if f.until is not None else END_OF_TIME, 0)
    if params is None:
        return Found([], None, None, None)
    if f.task_id:
        return await _find_task_id(store, f, params, limit)
    drive = "label" if f.label else await _narrowest(store, f, params)
    if drive is None:
        return Found([], None, None, None)
    direction: Literal["older", "newer"] = "newer" if newer else "older"
    if direction == "newer":
        params["bound"] = f.until if f.until is not None else END_OF_TIME
    else:
        params["bound"] = f.since if f.since is not None else 0
        start = min(start, (f.until, 0)) if f.until is not None else start
    hits, reached = await _walk(store, drive, direction, params, start, limit + 1)
    is_more = len(hits) > limit
    hits = hits[:limit]
    if direction == "newer":
        hits.reverse()
        # Stopped on the way up: the newest seen so far is where a further look begins.
        ahead = cursor(hits[0]) if is_more and hits else cursor(reached) if reached and not is_more else None
        back = cursor(hits[-1]) if hits else cursor(start)
        return Found([id for _, id in hits], back, ahead, None)
    onward = hits[-1] if is_more else reached
    return Found(
        [id for _, id in hits],
        cursor(onward) if onward else None,
        (cursor(hits[0]) if hits else cursor(start)) if older else None,
        reached[0] if reached and not is_more else None,
    )


async def _find_task_id(store: Store, f: TaskFilter, params: Params, limit: int) -> Found:
    try:
        params["task_id"] = task_ids.encode(f.task_id)
    except UnicodeEncodeError:
        return Found([], None, None, None)
    rows = await store.fetch_all(SQL["find_by_task_id"], {**params, "chunk": limit})
    since, until = f.since or 0, f.until if f.until is not None else END_OF_TIME
    return Found([row[0] for row in rows if row[2] and since <= row[1] < until], None, None, None)


async def _narrowest(store: Store, f: TaskFilter, params: Params) -> str | None:
    """The index that the fewest tasks stand under; None when the counters know that nothing matches."""
    narrow = {"state": len(f.states), "name": f.name, "queue": f.queue, "worker": f.worker}
    candidates = [drive for drive, value in narrow.items() if value]
    broad = bool(f.engine or f.app or f.environment)
    if not candidates and not broad:
        return "first"
    if len(candidates) == 1 and not broad:
        return candidates[0]
    row = await store.fetch_one(SQL["weigh"], params)
    assert row is not None
    if not row[3]:
        return None
    # Workers have no counter of their own; the tasks of one are few beside those of a name or a queue.
    weights = {"state": row[0], "name": row[1], "queue": row[2], "worker": min(row[:3], default=0) // 8 or 1}
    return min(candidates, key=lambda drive: weights[drive], default="first")


async def _walk(
    store: Store, drive: str, direction: Literal["older", "newer"], params: Params, start: Position, limit: int
) -> tuple[list[Position], Position | None]:
    """Up to `limit` matches beyond `start`, nearest first; and, if the time ran out before, how far it came."""
    mask = int(params["states"])
    # Each state is its own stretch of the index.
    streams: list[Params] = [{"state": code} for code in STATES.values() if mask >> code & 1] if drive == "state" else [{}]
    block, at = SQL[f"walk_{drive}_{direction}"], {"at": start[0], "id": start[1]}
    return await store.read(
        partial(_step, block=block, streams=[{**params, **stream, **at} for stream in streams], is_older=direction == "older", limit=limit)
    )


def _step(
    db: sqlite3.Connection, block: str, streams: list[Params], limit: int, *, is_older: bool
) -> tuple[list[Position], Position | None]:
    """Steps through the rows one by one and looks at the clock on the way: rows that are not in memory take a hundred times as long."""
    deadline = clock.ticks() + WALK_US
    hits: list[Position] = []
    with contextlib.ExitStack() as cursors:
        walks = [cursors.enter_context(contextlib.closing(db.execute(block, stream))) for stream in streams]
        rows = walks[0] if len(walks) == 1 else heapq.merge(*walks, key=_place_of, reverse=is_older)
        for number, (id, at, matches) in enumerate(rows, 1):
            if matches:
                hits.append((at, id))
                if len(hits) == limit:
                    return hits, None
            if not number % LOOK_EVERY and clock.ticks() > deadline:
                return hits, (at, id)
    return hits, None


def _place_of(row: tuple[int, int, int]) -> Position:
    return row[1], row[0]
