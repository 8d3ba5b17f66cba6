# SPDX-License-Identifier: AGPL-3.0-or-later
"""The index of words: reads what is to be indexed, makes words of it, and writes them to the table of its day.

A task is indexed once with all it has, and once more for what it got later. Rows are read, and words made, by a reading connection; the
writer only adds them.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from z4j import clock
from z4j.clock import DAY_US
from z4j.rules.queries.annotation_terms import note_pair, note_pairs_of
from z4j.rules.queries.arguments import pair, pairs_of
from z4j.rules.queries.words import words_of
from z4j.store.search import word_changes
from z4j.store.search.word_changes import INPUT, LINES, NOTES, OUTCOME
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Row, Store
from z4j.store.sqlite.writer import ROWS
from z4j.store.tasks import task_ids

SQL = sql.load("search/word_index")
LOG_LINES = sql.load("logs/log_lines")

MAX_DAYS: Final = 400
"""Tasks that came earlier than that are not indexed: each day is a table."""
MAX_WORDS: Final = 400
"""Words of one task."""
MAX_LOG_WORDS: Final = 400
"""Words of the log lines of one task, besides."""
MAX_LOG_LINES: Final = 2_000
"""Lines of one task whose words are read."""
AT_ONCE: Final = 16
"""Rows whose words are made at a time."""
REST_S: Final = 0.0001
"""And how long the thread that makes them rests before."""
SHORT: Final = 40
"""Characters of a result whose words are remembered."""
COUNT_LIMIT: Final = 100_000
THIN: Final = 4
"""Of a day with fewer than this part of its tasks left, the index is made again."""
THIN_LEAST: Final = 20_000
"""Tasks of a day for which that is worth it."""
EMPTY_PAGES: Final = 50
ADDED: Final = 250
"""Rows of one statement. FTS5 writes a segment at the end of each statement of several rows: 25 rows cost a fifth more than 250."""
ADDED_CHARACTERS: Final = 100_000
"""Of these rows. Tasks with more words are written fewer at a time."""
MERGE_PAGES: Final = 16
"""Pages of one step of a merge: about a millisecond."""
OPTIONS: Final = MappingProxyType({"automerge": 0, "usermerge": 8, "crisismerge": 64})
"""FTS5 itself merges only where 64 segments have the same size. It would merge hundreds of pages within one statement; `merge` merges
eight segments at a time, in steps."""
ALL: Final = INPUT | OUTCOME | NOTES | LINES
NO_NOTES: Final = "[]"
_PAIR: Final = "\x80"
"""Begins the word of an argument, which no word of a text contains."""
_SEPARATES: Final = re.compile("[\x00-\x20\x7f'\"?]")
"""Characters that end a word in the index. In the word of an argument they are moved beyond ASCII."""


class Entry(NamedTuple):
    """The words of a task. `change` is the number of changes it is the answer to, 0 of a task that is indexed for the first time."""

    id: int
    day: int
    words: str
    change: int = 0


@dataclass(frozen=True, slots=True)
class Positions:
    """Row ids: tasks up to `to` and from `back` on are indexed, of which `back` goes down to 1 over the tasks from before there was an
    index. `newest` is the highest id there is, `changes` how many tasks changed since (at most COUNT_LIMIT)."""

    to: int
    back: int
    newest: int
    changes: int


async def positions(store: Store) -> Positions:
    """Returns how far the index is."""
    known: dict[str, int] = dict(await store.fetch_all(SQL["read_positions"]))
    newest = (await store.fetch_all(SQL["newest_task"]))[0][0] or 0
    changes = (await store.fetch_all(SQL["count_changes"], {"limit": COUNT_LIMIT}))[0][0]
    return Positions(known.get("to", 0), known.get("from", 0), newest, changes)


async def list_new(store: Store, after: int, to: int, limit: int, oldest_day: int) -> tuple[list[Entry], int]:
    """Returns the words of tasks with ids after `after` up to `to`, and the last ID read. Claim up to `to` before."""

    def read(db: sqlite3.Connection) -> tuple[list[Entry], int]:
        rows = db.execute(SQL["list_new"], {"after": after, "to": to, "limit": limit}).fetchall()
        return _entries(db, rows, oldest_day), rows[-1][0] if len(rows) == limit else to

    return await store.read(read)


async def list_old(store: Store, before: int, limit: int, oldest_day: int) -> tuple[list[Entry], int]:
    """Returns the same of tasks before an id, newest first, and the last ID read: 0 at the end."""

    def read(db: sqlite3.Connection) -> tuple[list[Entry], int]:
        rows = db.execute(SQL["list_old"], {"before": before, "limit": limit}).fetchall()
        return _entries(db, rows, oldest_day), rows[-1][0] if len(rows) == limit else 0

    return await store.read(read)


async def list_changed(store: Store, limit: int, oldest_day: int) -> list[Entry]:
    """Returns the words that tasks got since they were indexed. An entry without words is of a task that was deleted, or has none."""

    def read(db: sqlite3.Connection) -> list[Entry]:
        entries = []
        has_lines = _has_lines(db)
        for number, (*row, task, parts, changes) in enumerate(db.execute(SQL["list_changed"], {"limit": limit}).fetchall()):
            _yield_to_writer(number)
            day = row[1] // DAY_US if row[0] is not None else -1
            words = words_of_row(row, parts) if day >= oldest_day else ""
            if words_of_log := _words_of_log(db, task) if has_lines and day >= oldest_day and parts & (LINES | OUTCOME) else "":
                words = f"{words} {words_of_log}" if words else words_of_log
            entries.append(Entry(task, day, words, changes))
        return entries

    return await store.read(read)


def _entries(db: sqlite3.Connection, rows: list[Row], oldest_day: int) -> list[Entry]:
    entries = []
    has_lines = _has_lines(db)
    for number, row in enumerate(rows):
        _yield_to_writer(number)
        if (day := row[1] // DAY_US) >= oldest_day:
            words = words_of_row(row, ALL)
            if has_lines and (words_of_log := _words_of_log(db, row[0])):
                words = f"{words} {words_of_log}" if words else words_of_log
            entries.append(Entry(row[0], day, words))
    return entries


def _has_lines(db: sqlite3.Connection) -> bool:
    return bool(db.execute(LOG_LINES["has_lines"]).fetchone()[0])


def _words_of_log(db: sqlite3.Connection, task: int) -> str:
    """The words of the log lines of a task, each once; of a task with very many words those of its newest run."""
    found: dict[str, None] = {}
    for (message,) in db.execute(LOG_LINES["list_messages"], {"task": task, "limit": MAX_LOG_LINES}).fetchall():
        found.update(dict.fromkeys(words_of(message)))
        if len(found) >= MAX_LOG_WORDS:
            break
    return " ".join(list(found)[:MAX_LOG_WORDS])


def _yield_to_writer(number: int) -> None:
    """Call it for each row whose words are about to be made. The writer leaves the interpreter with every statement; while another thread
    computes, it would get it back only after the interval of `sys.setswitchinterval`, for each row that it writes."""
    if number % AT_ONCE == 0:
        time.sleep(REST_S)


def words_of_row(row: Sequence[Any], parts: int) -> str:
    """Returns the words of a row of the `list_…` blocks, each once."""
    _, _, name, args, label, task_id, result, error_type, error, notes = row
    found: list[str] = []
    if parts & INPUT:
        if name:
            found += _words_of_name(name)
        if args:
            found += words_of(args)
            found += map(word_of_pair, pairs_of(args))
        if label:
            found += words_of(label)
        if task_id is not None and not task_ids.is_uuid(task_id):
            found += words_of(task_ids.decode(task_id))
    if parts & OUTCOME:
        if error_type:
            found += _words_of_name(error_type)
        if error:
            found += words_of(error)
        if result:
            found += _words_of_result(result)
    if parts & NOTES and notes != NO_NOTES:
        found[:0] = map(word_of_pair, sorted(note_pairs_of(notes)))  # first, because others may be too many
    return " ".join(list(dict.fromkeys(found))[:MAX_WORDS])


_words_of_name = lru_cache(2_048)(words_of)
_words_of_short = lru_cache(2_048)(words_of)


def _words_of_result(result: str) -> list[str]:
    """Most tasks of a name return one of a few short texts."""
    return _words_of_short(result) if len(result) <= SHORT else words_of(result)


def word_of_pair(path_and_value: str) -> str:
    """Returns `path=value` as one word."""
    return _PAIR + _SEPARATES.sub(_moved, path_and_value)


def _moved(match: re.Match[str]) -> str:
    return chr(ord(match[0]) + 0x80)


def word_of_argument(path: str, value: str) -> str:
    """Returns an argument as one word."""
    return word_of_pair(pair(path, value))


def word_of_note(name: str, value: str) -> str:
    """Returns an annotation as one word; of a trace or event id with an empty name."""
    return word_of_pair(note_pair(name, value))


def add(db: Connection, entries: list[Entry], seconds: float, position: tuple[str, int] | None) -> int:
    """Adds entries until the time is up. Returns how many. Notes the position, (key, id), with the last one; else the id of the last one
    added."""
    ends, done = time.monotonic() + seconds, 0
    known = db.recall("words days")
    new: dict[int, int] = {}
    while done < len(entries) and (time.monotonic() < ends or not done):
        some = _next(entries, done)
        for day in {entry.day for entry in some if entry.words} - known.keys():
            _make_day(db, day)
            known[day] = True
        for day in {entry.day for entry in some if entry.words}:
            of_its = [entry for entry in some if entry.day == day and entry.words]
            db.write_rows(of_day(SQL["add_words"], day), [(entry.id, entry.words) for entry in of_its], at_once=ADDED)
            new[day] = new.get(day, 0) + sum(not entry.change for entry in of_its)
        done += len(some)
    db.executemany(SQL["count_in_day"], [{"day": day, "tasks": tasks} for day, tasks in new.items() if tasks])
    db.executemany(SQL["forget_change"], [(entry.id, entry.change) for entry in entries[:done] if entry.change])
    if position is not None:
        key, id = position
        db.execute(SQL["put_position"], {"key": key, "id": id if done == len(entries) else entries[done - 1].id})
    return done


def _next(entries: list[Entry], done: int) -> list[Entry]:
    """Those of the next statement."""
    some = entries[done : done + ADDED]
    is_long = len(some) < ADDED or sum(len(entry.words) for entry in some) > ADDED_CHARACTERS
    return some[:ROWS] if is_long else some


def merge(db: Connection, day: int, seconds: float) -> bool:
    """Merges segments of the table of a day, as far as the time goes. Returns whether it is done."""
    ends = time.monotonic() + seconds
    while day in db.recall("words days"):  # not after a rollback, which may have undone the table
        before = db.total_changes
        db.execute(of_day(SQL["merge"], day), {"pages": MERGE_PAGES})
        if db.total_changes - before < 2:
            break
        if time.monotonic() > ends:
            return False
    return True


def claim(db: Connection, to: int) -> None:
    """Call it before `list_new` reads up to an id, see `word_changes`."""
    word_changes.claim(db, to)


def _make_day(db: Connection, day: int) -> None:
    db.execute(of_day(SQL["create_day"], day))
    db.execute(of_day(SQL["create_words"], day))
    db.executemany(of_day(SQL["set_option"], day), [{"name": name, "value": value} for name, value in OPTIONS.items()])
    db.execute(SQL["note_day"], {"day": day, "at": clock.now()})


def of_day(statement: str, day: int) -> str:
    """Returns a statement about `search_day` for the table of a day."""
    return statement.replace("search_day", f"search_{day}")


async def old_days(store: Store) -> list[int]:
    """Returns the days that have a table and no tasks left."""
    oldest = (await store.fetch_all(SQL["oldest_task"]))[0][0]
    days = [row[0] for row in await store.fetch_all(SQL["list_days"])]
    return [day for day in days if oldest is None or day < oldest // DAY_US]


async def thin_days(store: Store) -> list[tuple[int, list[int]]]:
    """Returns days most of whose indexed tasks were deleted, so that their words take space for nothing, with the row ids of the others."""
    thin = []
    for day, tasks in await store.fetch_all(SQL["list_large_days"], {"least": THIN_LEAST}):
        span = {"since": day * DAY_US, "until": (day + 1) * DAY_US}
        left = (await store.fetch_all(SQL["count_tasks"], span))[0][0]
        if left * THIN < tasks:
            thin.append((day, [row[0] for row in await store.fetch_all(SQL["list_tasks_of_day"], span)]))
    return thin


def index_again(db: Connection, tasks: list[int]) -> None:
    """Has these tasks indexed again with all of their words. Drop the table of their day afterwards."""
    db.executemany(SQL["note_change"], [(task, ALL) for task in tasks])


def drop(db: Connection, day: int, seconds: float) -> bool:
    """Empties and drops the table of a day, as far as the time goes. Returns whether it is done."""
    ends = time.monotonic() + seconds
    while db.execute(of_day(SQL["empty_day"], day), {"limit": EMPTY_PAGES}).rowcount:
        if time.monotonic() > ends:
            return False
    db.execute(of_day(SQL["drop_words"], day))
    db.execute(of_day(SQL["drop_day"], day))
    db.execute(SQL["forget_day"], {"day": day})
    db.recall("words days").pop(day, None)
    return True
