# SPDX-License-Identifier: AGPL-3.0-or-later
"""Walks the index of words: the tables of days one after the other, each in the order of row ids. `task_search` uses it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Final

from z4j.clock import DAY_US
from z4j.rules.queries.words import words_of
from z4j.store.search import word_index
from z4j.store.search.conditions import LONGEST, Params, TaskFilter
from z4j.store.sqlite import sql

TASKS = sql.load("tasks/tasks")
SQL = sql.load("search/word_index")

FIRST: Final = -1
MAX_EXPANDED: Final = 200
"""Words that a text with a * may match."""


def can_walk(f: TaskFilter) -> bool:
    """Whether there are words or arguments that a task must have."""
    return any(not term.is_not for term in f.texts())


def _match_of(db: sqlite3.Connection, f: TaskFilter, day: int) -> str | None:
    """Returns the conditions as an expression of FTS5 for the table of a day: every word, and of each argument one of its values. None
    where the words that begin with a text are too many: FTS5 would read the entries of all of them before it gives the first one."""
    parts: list[list[str]] = []
    by_path: dict[str, list[str]] = {}
    into: list[str]
    for term in f.texts():
        if term.is_not:
            continue
        if term.field == "words":
            *whole, last = words_of(term.value)
            parts += [[word] for word in whole]
            wanted, into = last, []
            parts.append(into)
        else:
            word = word_index.word_of_argument if term.field == "args" else word_index.word_of_note
            wanted, into = word(term.path, term.value), by_path.setdefault(term.key, [])
        if term.is_prefix:
            found = db.execute(word_index.of_day(SQL["list_words"], day), {"prefix": wanted, "limit": MAX_EXPANDED + 1}).fetchall()
            if len(found) > MAX_EXPANDED:
                return None
            into += [row[0] for row in found]
        else:
            into.append(wanted)
    parts += by_path.values()
    return "" if not all(parts) else " AND ".join(f"({' OR '.join(map(_quoted, words))})" for words in parts)


def _quoted(word: str) -> str:
    escaped = word.replace('"', '""')
    return f'"{escaped}"'


def _span(day: int, start: tuple[int, int], bound: object, *, is_older: bool) -> Params:
    """The part of a walk by time that lies in a day."""
    assert isinstance(bound, int)
    begin, end = day * DAY_US, (day + 1) * DAY_US
    if is_older:
        at, id = min(start, (end, 0))
        return {"at": at, "id": id, "bound": max(bound, begin)}
    at, id = max(start, (begin, FIRST))
    return {"at": at, "id": id, "bound": min(bound, end)}


def walk(
    db: sqlite3.Connection, *, f: TaskFilter, params: Params, direction: str, start: tuple[int, int]
) -> Iterator[tuple[int, int, int, int | None]]:
    """Yields (row id, first_at, whether the conditions match, what a result is ordered by) beyond `start`, a time and a row id.

    The order is that of days and, within a day, of row ids, which is the order in which tasks were first reported.
    """
    is_older = direction == "older"
    # Tables of days are in the order of time, their rows are not.
    bounds: Params = {**params, "is_simple": int(bool(params["is_simple"]) and f.since is None and f.until is None)}
    low, high = (f.since or 0) // DAY_US, (f.until if f.until is not None else LONGEST) // DAY_US
    first = start[0] // DAY_US
    begins = not db.in_transaction  # else the caller reads more in the same state of the database
    if begins:
        db.execute(SQL["begin_read"])
    try:
        days = [row[0] for row in db.execute(SQL["list_days"]).fetchall()]
        for day in days if is_older else reversed(days):
            if not low <= day <= high or (day > first if is_older else day < first):
                continue
            match = _match_of(db, f, day)
            if match == "":  # no such word
                continue
            if match is None:
                rows = db.execute(TASKS[f"walk_first_{direction}"], bounds | _span(day, start, params["bound"], is_older=is_older))
            else:
                id = start[1] if day == first and start[1] else LONGEST if is_older else FIRST
                block = word_index.of_day(TASKS[f"walk_words_{direction}"], day)
                rows = db.execute(block, {**bounds, "day": day, "id": id, "match": match})
            with contextlib.closing(rows):
                yield from rows
    finally:
        if begins:
            db.execute(SQL["end_read"])
