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


def can_walk(f: TaskFilter) -> bool:
    """Whether there are words or arguments that a task must have."""
    return any(not term.is_not for term in f.texts())


def match_of(f: TaskFilter) -> str:
    """Returns the conditions as an expression of FTS5: every word, and of each argument one of its values."""
    parts = [
        _quoted(word, is_prefix=term.is_prefix and index == 0)
        for term in f.texts()
        if term.field == "words" and not term.is_not
        for index, word in enumerate(reversed(words_of(term.value)))
    ]
    by_path: dict[str, list[str]] = {}
    for term in f.texts():
        if term.field == "args" and not term.is_not:
            word = word_index.word_of_argument(term.path, term.value)
            by_path.setdefault(term.path, []).append(_quoted(word, is_prefix=term.is_prefix))
    parts += [f"({' OR '.join(values)})" for values in by_path.values()]
    return " AND ".join(parts)


def _quoted(word: str, *, is_prefix: bool) -> str:
    escaped = word.replace('"', '""')
    return f'"{escaped}"' + ("*" if is_prefix else "")


def walk(
    db: sqlite3.Connection, *, f: TaskFilter, params: Params, direction: str, start: tuple[int, int]
) -> Iterator[tuple[int, int, int, int | None]]:
    """Yields (row id, first_at, whether the conditions match, what a result is ordered by) beyond `start`, a time and a row id.

    The order is that of days and, within a day, of row ids, which is the order in which tasks were first reported.
    """
    is_older = direction == "older"
    block, match = TASKS[f"walk_words_{direction}"], match_of(f)
    # Tables of days are in the order of time, their rows are not.
    bounds: Params = {**params, "is_simple": int(bool(params["is_simple"]) and f.since is None and f.until is None), "match": match}
    low, high = (f.since or 0) // DAY_US, (f.until if f.until is not None else LONGEST) // DAY_US
    first = start[0] // DAY_US
    db.execute(SQL["begin_read"])
    try:
        days = [row[0] for row in db.execute(SQL["list_days"]).fetchall()]
        for day in days if is_older else reversed(days):
            if not low <= day <= high or (day > first if is_older else day < first):
                continue
            id = start[1] if day == first and start[1] else LONGEST if is_older else FIRST
            rows = db.execute(word_index.of_day(block, day), {**bounds, "day": day, "id": id})
            with contextlib.closing(rows):
                yield from rows
    finally:
        db.execute(SQL["end_read"])
