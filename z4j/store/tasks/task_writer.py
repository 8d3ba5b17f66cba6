# SPDX-License-Identifier: AGPL-3.0-or-later
"""Joins new events with the stored state of tasks. Runs in the writer's transaction; `ingest`, `reused_ids` and what deletes tasks call it.

Read, join in Python, write: safe because there is one writer and it reads inside its own transaction. What changed
between the old and the new row feeds the counters and the minutes, so that no page ever has to count tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from z4j.rules.tasks.fold import FAILED, Event, Summary, fold
from z4j.rules.tasks.reused_ids.detection import is_one_life, is_ordinary
from z4j.rules.tasks.states import FINAL_CODES, FLAGS
from z4j.store.fleet import processes
from z4j.store.names import name_limits
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Row
from z4j.store.tasks import task_ids
from z4j.store.tasks.task_columns import StoredTask, TaskColumns, decode, encode

SQL = sql.load("tasks/task_writer")

MINUTE_US = 60_000_000
LOOKUP = 64
"""Marks of the block `find_tasks`."""

OPEN_LIMIT = 10_000
"""Tasks without an end that are remembered with what their rows say, about 2 KB each."""
_OPEN = "open tasks"

Key = tuple[str, str]
"""Engine and task id, as texts."""
Id = tuple[int, int, bytes]
"""App, engine and encoded task id."""


class Saved(NamedTuple):
    """What `save` did: the row of every task, whether anything a page shows is different now, and whose id came again.

    Of those nothing is written yet: (key, engine id, encoded id, its newest row or None), see `reused_ids`.
    """

    ids: dict[Key, int]
    is_changed: bool
    again: list[tuple[Key, int, bytes, StoredTask | None]]


def save(db: Connection, app_id: int, news: Mapping[Key, list[Event]]) -> Saved:
    """Folds new events of the tasks of one app into their rows. Returns the row id of each."""
    ids: dict[Key, int] = {}
    added: list[Row] = []
    changed: dict[str, list[Row]] = {}
    again: list[tuple[Key, int, bytes, StoredTask | None]] = []
    tally = Tally()
    new_id = next_id(db)
    remembered: dict[Id, _OpenTask] = db.recall(_OPEN)
    by_engine: dict[str, list[tuple[Key, bytes]]] = {}

    for key in news:
        by_engine.setdefault(key[0], []).append((key, task_ids.encode(key[1])))
    for engine, requested in by_engine.items():
        engine_id = name_limits.intern(db, app_id, "engine", engine)
        known = find(db, app_id, engine_id, [raw for _, raw in requested if (app_id, engine_id, raw) not in remembered])
        for key, raw in requested:
            place, events = (app_id, engine_id, raw), news[key]
            open_task = remembered.pop(place, None)
            row = open_task.row if open_task is not None else known.get(raw)
            if row is None:
                if not _is_one_life(db, app_id, 0, None, events):
                    again.append((key, engine_id, raw, None))
                    continue
                summary = _folded(None, events)
                values = encode(db, app_id, summary)
                ids[key] = id = new_id
                added.append((*values, id, *place))
                tally.add(app_id, engine_id, values, 1)
                new_id += 1
            else:
                id, old = row
                before = open_task.summary if open_task is not None and open_task.summary is not None else decode(db, old)
                if old.flags & FLAGS["again"] or not _is_one_life(db, app_id, id, before, events):
                    again.append((key, engine_id, raw, row))
                    continue
                ids[key] = id
                summary = _folded(before, events)
                values = encode(db, app_id, summary)
                if values != old:
                    changed.setdefault(_change_of(old, values), []).append((*values, id))
                    tally.add(app_id, engine_id, old, -1)
                    tally.add(app_id, engine_id, values, 1)
            if values.state not in FINAL_CODES:
                remembered[place] = _OpenTask(StoredTask(id, values), None if name_limits.is_counting(db) else summary)
    if added:
        db.executemany(SQL["add_task"], added)
        set_next_id(db, new_id)
    for block, rows in changed.items():
        db.executemany(SQL[block], rows)
    while len(remembered) > OPEN_LIMIT:
        del remembered[next(iter(remembered))]
    tally.write(db)
    name_limits.flush(db, app_id)
    return Saved(ids, bool(added or changed), again)


class _OpenTask(NamedTuple):
    """A row as it was last written, for the news that follow within seconds. `summary` is None where `decode` would not return it: a name
    beyond the limit of its app is stored as another."""

    row: StoredTask
    summary: Summary | None


def forget_task(db: Connection, id: Id) -> None:
    """Has to be called for every task whose row is changed or deleted by others than `save`."""
    db.recall(_OPEN).pop(id, None)


def _change_of(old: TaskColumns, new: TaskColumns) -> str:
    """The block that writes this change. SQLite writes the entries of an index again when a statement names its columns, whether or not
    they change; most news change none but that of the state."""
    if old.first_at != new.first_at or old.name_id != new.name_id or old.queue_id != new.queue_id or old.label != new.label:
        return "change_task"
    return "change_progress" if old.worker_id == new.worker_id else "change_progress_and_worker"


def _is_one_life(db: Connection, app_id: int, id: int, summary: Summary | None, events: list[Event]) -> bool:
    if is_ordinary(summary, events):
        return True

    def same_clock(a: str, b: str) -> bool:
        clock = processes.process_of(db, app_id, a).clock
        return bool(clock) and clock == processes.process_of(db, app_id, b).clock

    def starts() -> list[int]:
        return [row[0] for row in db.execute(SQL["first_starts"], (id,))]

    return is_one_life(summary, events, same_clock, starts)


def find(db: Connection, app_id: int, engine_id: int, task_ids: list[bytes]) -> dict[bytes, StoredTask]:
    """Returns the stored tasks among these, by encoded task id."""
    stored: dict[bytes, StoredTask] = {}
    for start in range(0, len(task_ids), LOOKUP):
        some = task_ids[start : start + LOOKUP]
        marks = (app_id, engine_id, *some, *[None] * (LOOKUP - len(some)))
        stored.update((row[0], StoredTask(row[1], TaskColumns._make(row[2:]))) for row in db.execute(SQL["find_tasks"], marks))
    return stored


def add_links(db: Connection, app_id: int, links: Iterable[tuple[str, str, int]]) -> None:
    """Adds (kind, target task id, row id), for finding children and retries from the other end."""
    db.executemany(SQL["add_link"], [(app_id, kind, task_ids.encode(target), id) for kind, target, id in links])


def remove(db: Connection, rows: Iterable[tuple[int, int, int, int, int, int, int]]) -> None:
    """Subtracts deleted tasks, (app, environment, engine, queue, name, state, how many), from the counters."""
    db.executemany(SQL["add_to_counter"], [(*row[:6], -row[6]) for row in rows])


def _folded(summary: Summary | None, events: list[Event]) -> Summary:
    folded = fold(summary, events)
    assert folded is not None
    return folded


def next_id(db: Connection) -> int:
    """Returns the id of the next new row. Report with `set_next_id` how many were used."""
    memory = db.recall("task")
    if "next" not in memory:
        memory["next"] = db.execute(SQL["newest_task"]).fetchone()[0] + 1
    return int(memory["next"])


def set_next_id(db: Connection, id: int) -> None:
    """Ids below are taken."""
    db.recall("task")["next"] = id


class Tally:
    """Differences of counters and minutes of one batch."""

    def __init__(self) -> None:
        self.counters: dict[tuple[int, ...], int] = {}
        self.minutes: dict[tuple[int, ...], list[int]] = {}

    def add(self, app_id: int, engine_id: int, row: TaskColumns, sign: int) -> None:
        """Adds a row's task to its counter and its minute, or takes it out (`sign` -1)."""
        key = (app_id, row.environment_id, engine_id, row.queue_id, row.name_id, row.state)
        self.counters[key] = self.counters.get(key, 0) + sign
        if row.state in FINAL_CODES:
            sums = self.minutes.setdefault((row.state_at // MINUTE_US, *key), [0, 0])
            sums[0] += sign
            sums[1] += sign * (row.runtime_us or 0)

    def write(self, db: Connection) -> None:
        """Writes the changes of the counters."""
        counters = [(*key, tasks) for key, tasks in self.counters.items() if tasks]
        if counters:
            db.executemany(SQL["add_to_counter"], counters)
        minutes = [(*key, *sums) for key, sums in self.minutes.items() if any(sums)]
        if minutes:
            db.executemany(SQL["add_to_minute"], minutes)
            totals: dict[tuple[int, ...], list[int]] = {}
            for *place, _, _, state, tasks, _ in minutes:
                total = totals.setdefault(tuple(place), [0, 0])
                total[0] += tasks
                total[1] += tasks if state == FAILED else 0
            db.executemany(SQL["add_to_minute_total"], [(*place, *total) for place, total in totals.items()])
