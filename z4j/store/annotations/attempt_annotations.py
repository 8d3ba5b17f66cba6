# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores what attempts report about themselves: annotations, progress, ids of other tools. `ingest` and `reused_ids` write it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from z4j.rules.tasks import run_annotations as rules
from z4j.rules.tasks.run_annotations import ExecutionRow, RunAnnotations
from z4j.rules.tasks.states import FINAL_CODES
from z4j.store.search import word_changes
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Row, Store

SQL = sql.load("annotations/attempt_annotations")

RunKey = tuple[int, str, int]
"""Attempt, process token, and start in microseconds UTC."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an attempt has come. `total` is None if unknown; `at` is in microseconds UTC."""

    at: int
    done: float
    total: float | None
    text: str


@dataclass(frozen=True, slots=True)
class AttemptNotes:
    """The notes of one attempt. `fields` are its annotations, `excess` is the number of those that were left out."""

    attempt: int
    run: str
    started_at: int
    fields: dict[str, str]
    trace_id: str
    sentry_event_id: str
    excess: int
    progress: Progress | None


def save(db: Connection, news: Mapping[tuple[int, RunKey], RunAnnotations]) -> bool:
    """Joins new notes, by (task row, attempt, token, start), with the stored ones. Returns whether anything changed."""
    changed: set[int] = set()
    for (task, (attempt, token, started_at)), value in news.items():
        at: dict[str, int | str] = {"task": task, "attempt": attempt, "run": token, "started_at": started_at}
        if _join(db, at, value):
            changed.add(task)
    word_changes.note(db, changed, word_changes.NOTES)
    return bool(changed)


def _join(db: Connection, at: Mapping[str, int | str], value: RunAnnotations) -> bool:
    row = db.execute(SQL["find_note"], at).fetchone()
    old = _decode(row) if row is not None else rules.NOTHING
    new = rules.join(old, value)
    if row is not None and new == old:
        return False
    db.execute(SQL["put_note"], {**at, **_encode(new)})
    return True


def rows_of(db: Connection, app_id: int, engine_id: int, raw: bytes) -> list[ExecutionRow]:
    """Returns the rows of an id for `rules.row_of`."""
    rows = db.execute(SQL["list_executions"], {"app_id": app_id, "engine_id": engine_id, "task_id": raw})
    return [ExecutionRow(id, state_at if state in FINAL_CODES else None, not older) for id, older, state, state_at in rows]


def move(db: Connection, task: int, successor: int) -> None:
    """Has the notes of a row that is removed belong to another one."""
    for row in db.execute(SQL["list_notes"], {"tasks": json.dumps([task])}).fetchall():
        _move(db, row, successor)


def place_again(db: Connection, executions: Sequence[ExecutionRow]) -> None:
    """Places the notes of an id whose executions are divided otherwise now."""
    rows = db.execute(SQL["list_notes"], {"tasks": json.dumps([execution.row for execution in executions])}).fetchall()
    for row in rows:
        if (successor := rules.row_of(row[3], executions)) != row[0]:
            _move(db, row, successor)


def _move(db: Connection, row: Row, successor: int) -> None:
    at = dict(zip(("task", "attempt", "run", "started_at"), row[:4], strict=True))
    db.execute(SQL["delete_note"], at)
    _join(db, {**at, "task": successor}, _decode(row[4:]))
    word_changes.note(db, {successor}, word_changes.NOTES)


async def list_notes(store: Store, task: int) -> list[AttemptNotes]:
    """Lists the notes of a task by attempt and start."""
    return [_shown(row) for row in await store.fetch_all(SQL["list_notes"], {"tasks": json.dumps([task])})]


async def list_progress(store: Store, tasks: Iterable[int]) -> dict[int, Progress]:
    """Returns the newest progress of these tasks, of those that have reported any: {task row: progress}."""
    newest: dict[int, Progress] = {}
    for row in await store.fetch_all(SQL["list_notes"], {"tasks": json.dumps(list(tasks))}):
        progress = _shown(row).progress
        if progress is not None and (row[0] not in newest or progress.at > newest[row[0]].at):
            newest[row[0]] = progress
    return newest


def _shown(row: Row) -> AttemptNotes:
    _, attempt, run, started_at, *packed = row
    notes = _decode(tuple(packed))
    ids = {name: value for name, (_, value) in notes.ids.items()}
    progress = None
    if notes.progress:
        at, done, total, text = notes.progress
        progress = Progress(at, done, None if total < 0 else total, text)
    return AttemptNotes(
        attempt=attempt, run=run, started_at=started_at,
        fields={name: notes.fields[name][1] for name in sorted(notes.fields)}, trace_id=ids.get("trace_id", ""),
        sentry_event_id=ids.get("sentry_event_id", ""), excess=notes.excess, progress=progress,
    )  # fmt: skip


def _encode(notes: RunAnnotations) -> dict[str, str | int | None]:
    return {
        "fields": json.dumps(dict(sorted(notes.fields.items())), ensure_ascii=False),
        "ids": json.dumps(dict(sorted(notes.ids.items()))),
        "excess": notes.excess,
        "progress": json.dumps(notes.progress, ensure_ascii=False) if notes.progress else None,
    }


def _decode(row: Row) -> RunAnnotations:
    fields, ids, excess, progress = row
    return RunAnnotations(_pairs(fields), _pairs(ids), excess, tuple(json.loads(progress)) if progress else ())


def _pairs(text: str) -> dict[str, tuple[int, str]]:
    return {name: (at, value) for name, (at, value) in json.loads(text).items()}
