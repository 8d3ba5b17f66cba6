# SPDX-License-Identifier: AGPL-3.0-or-later
"""Joins new events with the stored state of tasks. Runs in the writer's transaction; `ingest`, `reused_ids` and what deletes tasks call it.

Read, join in Python, write: safe because there is one writer and it reads inside its own transaction. What changed
between the old and the new row feeds the counters and the minutes, so that no page ever has to count tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from z4j.rules.tasks.fold import Event, Summary, fold
from z4j.rules.tasks.reused_ids.reuse_check import is_one_execution, is_ordinary
from z4j.rules.tasks.states import FINAL_CODES, FLAGS
from z4j.store.fleet import processes
from z4j.store.names import name_limits
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Row
from z4j.store.tasks import task_ids
from z4j.store.tasks.task_changes import TaskChanges
from z4j.store.tasks.task_columns import StoredTask, TaskColumns, decode, encode, first_columns, next_columns

SQL = sql.load("tasks/task_writer")

LOOKUP = 64
"""Marks of the block `find_tasks`."""

LINKS = ("parent", "retry_of")
"""Kinds that lead from a task to the one that it came from; others are relations."""
AGAIN = FLAGS["again"]
_at = TaskColumns._fields.index
_WORKER = _at("worker_id")
_RUN, _OUTCOME = slice(0, _at("runtime_us")), slice(_at("runtime_us"), _at("first_at"))
_ENQUEUE = slice(_at("enqueued_at"), _at("received_attempt"))
_MOMENTS = slice(_at("received_attempt"), _at("name_rank"))
_REST = slice(_at("name_rank"), _at("flags"))
OF_MANY = ("change_run", "change_end")
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
    saving = _Saving(db, app_id)
    by_engine: dict[str, list[tuple[Key, bytes, list[Event]]]] = {}
    for key, events in news.items():
        by_engine.setdefault(key[0], []).append((key, task_ids.encode(key[1]), events))
    for engine, requested in by_engine.items():
        saving.save(name_limits.intern(db, app_id, "engine", engine), requested)
    saving.write()
    return Saved(saving.ids, saving.is_changed, saving.again)


_News = tuple[Key, bytes, list[Event], int, TaskColumns | None]
"""Key, encoded task id, events, the row id if it is new, and its columns then, where they are known without `fold`."""
_OpenTask = tuple[int, TaskColumns, Summary | None]
"""A row as it was last written, for the news that follow within seconds: id, columns, and their summary if it was made. It is not kept
where `decode` would not return it: a name beyond the limit of its app is stored as another."""


class _Saving:
    """The tasks of one app while their news are joined."""

    def __init__(self, db: Connection, app_id: int) -> None:
        self.db, self.app_id = db, app_id
        self.ids: dict[Key, int] = {}
        self.again: list[tuple[Key, int, bytes, StoredTask | None]] = []
        self.is_changed = False
        self._changed: dict[str, list[Row]] = {}
        self._changes = TaskChanges()
        self._open: dict[Id, _OpenTask] = db.recall(_OPEN)

    def save(self, engine_id: int, requested: Iterable[tuple[Key, bytes, list[Event]]]) -> None:
        """Joins the news of tasks of one engine, (key, encoded task id, events). Call `write` at the end."""
        db, app_id = self.db, self.app_id
        new: list[_News] = []
        unsure: list[_News] = []
        new_id = next_id(db)
        for key, raw, events in requested:
            open_task = self._open.pop((app_id, engine_id, raw), None)
            if open_task is not None:
                self._change(engine_id, key, raw, events, *open_task)
                continue
            # Those that turn out to be new have ids in the order they came in; those that do not leave gaps.
            columns = first_columns(db, app_id, events)
            is_surely_one = columns is not None or (events[0][0] == "enqueued" and is_ordinary(None, events))
            (new if is_surely_one else unsure).append((key, raw, events, new_id, columns))
            new_id += 1
        set_next_id(db, new_id)
        # Almost everything that has just been enqueued is new: it is added without a look whether it is there, which costs as much again.
        unsure += self._add(engine_id, new)
        known = find(db, app_id, engine_id, [entry[1] for entry in unsure]) if unsure else {}
        new.clear()
        for entry in unsure:
            key, raw, events, _, _ = entry
            row = known.get(raw)
            if row is not None:
                self._change(engine_id, key, raw, events, *row, None)
            elif _is_one_execution(db, app_id, 0, None, events):
                new.append(entry)
            else:
                self.again.append((key, engine_id, raw, None))
        self._add(engine_id, new)

    def _add(self, engine_id: int, new: list[_News]) -> list[_News]:
        """Adds tasks, and returns those that are there already."""
        if not new:
            return []
        db, app_id, added = self.db, self.app_id, []
        for _, raw, events, id, columns in new:
            values, summary = (columns, None) if columns is not None else self._folded(events)
            added.append((values, summary, (*values, id, app_id, engine_id, raw)))
        is_all_new = db.write_rows(SQL["add_task"], [row for _, _, row in added]) == len(added)
        known = {} if is_all_new else find(db, app_id, engine_id, [entry[1] for entry in new])
        left = []
        for entry, (values, summary, _) in zip(new, added, strict=True):
            key, raw, _, id, _ = entry
            if known and known[raw].id != id:
                left.append(entry)
                continue
            self.is_changed = True
            self.ids[key] = id
            self._changes.add(app_id, engine_id, id, None, values)
            if values.state not in FINAL_CODES:
                self._remember(engine_id, raw, id, values, summary)
        return left

    def _folded(self, events: list[Event]) -> tuple[TaskColumns, Summary]:
        summary = _folded(None, events)
        return encode(self.db, self.app_id, summary), summary

    def _change(
        self, engine_id: int, key: Key, raw: bytes, events: list[Event], id: int, old: TaskColumns, before: Summary | None
    ) -> None:  # fmt: skip
        """Joins news with a stored row, and with what it says where that is known."""
        db, app_id = self.db, self.app_id
        summary = None
        change_of = _next_change
        if old.flags & AGAIN or (values := next_columns(db, app_id, old, events)) is None:
            change_of = _change_of
            before = decode(db, old) if before is None else before
            if old.flags & AGAIN or not _is_one_execution(db, app_id, id, before, events):
                self.again.append((key, engine_id, raw, StoredTask(id, old)))
                return
            summary = _folded(before, events)
            values = encode(db, app_id, summary, before, old)
        self.ids[key] = id
        if values != old:
            block, row = change_of(id, old, values)
            self._changed.setdefault(block, []).append(row)
            self._changes.add(app_id, engine_id, id, old, values)
        if values.state not in FINAL_CODES:
            self._remember(engine_id, raw, id, values, summary)

    def _remember(self, engine_id: int, raw: bytes, id: int, values: TaskColumns, summary: Summary | None) -> None:
        self._open[self.app_id, engine_id, raw] = id, values, None if name_limits.is_counting(self.db) else summary

    def write(self) -> None:
        """Writes what changed, and the differences of the counters."""
        for block, rows in self._changed.items():
            self.is_changed = True
            if block in OF_MANY:
                self.db.write_rows(SQL[block], rows)
            else:
                self.db.executemany(SQL[block], rows)
        while len(self._open) > OPEN_LIMIT:
            del self._open[next(iter(self._open))]
        self._changes.write(self.db)
        name_limits.flush(self.db, self.app_id)


def forget_task(db: Connection, id: Id) -> None:
    """Has to be called for every task whose row is changed or deleted by others than `save`."""
    db.recall(_OPEN).pop(id, None)


def _change_of(id: int, old: TaskColumns, new: TaskColumns) -> tuple[str, Row]:
    """The block that writes this change, and its parameters. SQLite writes the entries of an index again when a statement names its
    columns, whether or not they change; most news change none but that of the state."""
    if old.first_at != new.first_at or old.name_id != new.name_id or old.queue_id != new.queue_id or old.label != new.label:
        return "change_task", (*new, id)
    if old[_REST] == new[_REST] and old[_ENQUEUE] == new[_ENQUEUE]:
        return _next_change(id, old, new)
    return _progress(id, old, new)


def _next_change(id: int, old: TaskColumns, new: TaskColumns) -> tuple[str, Row]:
    """The same of columns that `next_columns` has made: they are those of `old` but for the run, its moments and its outcome."""
    row: Row = new
    if old[_OUTCOME] == new[_OUTCOME] and old.usage == new.usage:
        return "change_run", (*row[_RUN], new.last_at, *row[_MOMENTS], new.flags, id)
    if old.worker_id == new.worker_id and old.started_at == new.started_at and old.start_attempt == new.start_attempt:
        return "change_end", (
            *row[:_WORKER],
            *row[_OUTCOME],
            new.last_at,
            new.received_attempt,
            new.received_at,
            new.flags,
            new.usage,
            id,
        )
    return _progress(id, old, new)


def _progress(id: int, old: TaskColumns, new: TaskColumns) -> tuple[str, Row]:
    return "change_progress" if old.worker_id == new.worker_id else "change_progress_and_worker", (*new, id)


def _is_one_execution(db: Connection, app_id: int, id: int, summary: Summary | None, events: list[Event]) -> bool:
    if is_ordinary(summary, events):
        return True

    def same_clock(a: str, b: str) -> bool:
        clock = processes.process_of(db, app_id, a).clock
        return bool(clock) and clock == processes.process_of(db, app_id, b).clock

    def starts() -> list[int]:
        return [row[0] for row in db.execute(SQL["first_starts"], (id,))]

    return is_one_execution(summary, events, same_clock, starts)


def find(db: Connection, app_id: int, engine_id: int, task_ids: list[bytes]) -> dict[bytes, StoredTask]:
    """Returns the stored tasks among these, by encoded task id."""
    stored: dict[bytes, StoredTask] = {}
    for start in range(0, len(task_ids), LOOKUP):
        some = task_ids[start : start + LOOKUP]
        marks = (app_id, engine_id, *some, *[None] * (LOOKUP - len(some)))
        stored.update((row[0], StoredTask(row[1], TaskColumns._make(row[2:]))) for row in db.execute(SQL["find_tasks"], marks))
    return stored


def add_links(db: Connection, app_id: int, links: Iterable[tuple[str, str, int]]) -> None:
    """Adds (kind, target task id, row id), for finding children, retries and dependents from the other end, and members of a group."""
    rows = [(app_id, kind, task_ids.encode(target), id) for kind, target, id in links]
    db.executemany(SQL["add_link"], [row for row in rows if row[1] in LINKS])
    if relations := [row for row in rows if row[1] not in LINKS]:
        db.executemany(SQL["add_relation"], relations)


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
