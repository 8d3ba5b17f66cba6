# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads tasks: the list, and all data of one task."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from z4j.rules.rollups import waited_us
from z4j.rules.tasks.fold import attempt_of, state_of
from z4j.rules.tasks.states import FINAL, ORIGINAL_NAMES, STATE_NAMES
from z4j.store.annotations import attempt_annotations
from z4j.store.annotations.attempt_annotations import AttemptNotes, Progress
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Row, Store
from z4j.store.tasks import attempts, originals, reused_ids, task_columns, task_ids, task_search
from z4j.store.tasks.attempts import AttemptRow
from z4j.store.tasks.counters import Counts, count_tasks
from z4j.store.tasks.task_search import TaskFilter
from z4j.wire.records import NO_PRIORITY, NOTHING_SENT

SQL = sql.load("tasks/tasks")

__all__ = [
    "Counts",
    "Link",
    "SameId",
    "TaskDetail",
    "TaskFilter",
    "TaskPage",
    "TaskRow",
    "count_tasks",
    "get_task",
    "list_tasks",
    "read_tasks",
]


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One task as a list shows it. Times are microseconds UTC, None if unknown; texts are empty if unknown."""

    id: int
    app: str
    environment: str
    engine: str
    task_id: str
    name: str
    queue: str
    worker: str
    state: str
    reason: str
    attempt: int
    """From 0 on; the attempt that decides the state."""
    first_at: int
    last_at: int
    enqueued_at: int | None
    eta_at: int | None
    received_at: int | None
    started_at: int | None
    ended_at: int | None
    waited_us: int | None
    """From being ready to run until it started. Two hosts' clocks meet here, unless one process did both."""
    runtime_us: int | None
    args: str
    result: str
    error_type: str
    error: str
    cancel_asked_at: int | None
    release: str
    flags: frozenset[str]
    label: str
    """What the application calls it beside its registered name, "" where it does not."""
    progress: Progress | None = None
    """How far a running task has come, as far as it reports that; None for tasks that do not run."""


@dataclass(frozen=True, slots=True)
class TaskPage:
    """Rows, newest first, and opaque cursors. `searched_to` (microseconds UTC) is set when the search stopped early; `searched` (number of
    tasks) where rows are the longest first: they are the longest of so many."""

    rows: list[TaskRow]
    older: str | None
    newer: str | None
    searched_to: int | None
    searched: int | None = None
    first: str | None = None
    """The place of the first row in the list."""


@dataclass(frozen=True, slots=True)
class Link:
    """Another task; `id` is None while that one is unknown here, then name and state are empty."""

    id: int | None
    task_id: str
    name: str
    state: str


@dataclass(frozen=True, slots=True)
class SameId:
    """An execution that bears the same id: the application used it again, or never chose another."""

    id: int
    first_at: int
    state: str


@dataclass(frozen=True, slots=True)
class TaskDetail:
    """Everything about one task but the bytes of its original."""

    row: TaskRow
    app_id: int
    runs: list[AttemptRow]
    """Every known try, oldest first, the present one included."""
    sent: dict[str, str | int]
    """parent_id, root_id, group_id, retry_of, code, route, expires, priority, label, depends_on (ids, a line each); only what is known."""
    original_state: str
    parent: list[Link]
    children: list[Link]
    retry_of: list[Link]
    retried_as: list[Link]
    masked: bool
    depends_on: list[Link]
    """Tasks that have to end before the engine puts this one into its queue."""
    notes: list[AttemptNotes]
    """What its attempts reported about themselves, first attempt first."""
    dependents: list[Link]
    """Tasks that wait for this one."""
    same_id: list[SameId]
    """Every execution that bears this task's id, the earliest first, itself included; empty for an id that came once."""
    broker: str = ""
    """The identity of the broker its original belongs to, "" if unknown."""


async def list_tasks(store: Store, f: TaskFilter, *, older: str | None = None, newer: str | None = None, limit: int = 50) -> TaskPage:
    """Returns one page of the tasks that match. Raises BadInput for an invalid cursor or state."""
    page = await task_search.find(store, f, older, newer, limit)
    rows = await store.fetch_all(SQL["read_tasks"], {"ids": json.dumps(page.ids)}) if page.ids else []
    return TaskPage(
        await _with_progress(store, [_row(row) for row in rows]), page.older, page.newer, page.searched_to, page.searched, page.first
    )


async def read_tasks(store: Store, ids: Sequence[int]) -> list[TaskRow]:
    """Returns tasks by their row ids, in this order; those that are gone are left out."""
    return await _with_progress(store, [_row(row) for row in await store.fetch_all(SQL["read_tasks"], {"ids": json.dumps(list(ids))})])


async def _with_progress(store: Store, rows: list[TaskRow]) -> list[TaskRow]:
    running = [row.id for row in rows if row.state == "running"]
    found = await attempt_annotations.list_progress(store, running) if running else {}
    return [replace(row, progress=found[row.id]) if row.id in found else row for row in rows]


async def get_task(store: Store, id: int) -> TaskDetail | None:
    """Returns a task by its row id, or None."""
    values = await store.fetch_one(SQL["read_tasks"], {"ids": json.dumps([id])})
    if values is None:
        return None
    (row,) = await _with_progress(store, [_row(values)])
    original_key, is_masked, sent, app_id, boot, pid, host, usage = values[29:]
    targets = await store.fetch_all(SQL["list_targets"], {"id": id})
    same = await reused_ids.list_executions(store, id)
    place = next((index for index, row_of_id in enumerate(same) if row_of_id[0] == id), 0)
    since = row.first_at if place else -1 if len(same) < 2 else 0
    span = {"since": since, "until": same[place + 1][1] if place + 1 < len(same) else task_search.END_OF_TIME}
    target = {"app_id": app_id, "target": task_ids.encode(row.task_id)}
    sources = await store.fetch_all(SQL["list_sources"], {**target, **span})
    dependents = await store.fetch_all(SQL["list_dependents"], {"id": id, **target, **span})

    detail = sent_fields(sent)
    original_state, broker = ORIGINAL_NAMES[original_key & 15], ""
    if original_state in ("plain", "sealed"):
        found_broker = await originals.broker_of(store, id)
        if found_broker is None:
            original_state = "none"  # kept for a shorter time than the task
        else:
            broker = found_broker

    def links(rows: list[Row], kind: str) -> list[Link]:
        return [
            Link(other, task_ids.decode(task_id), name or "", STATE_NAMES.get(state, ""))
            for row_of_id, task_id, other, name, state in rows
            if row_of_id == kind
        ]

    return TaskDetail(
        row=row,
        app_id=app_id,
        notes=await attempt_annotations.list_notes(store, id),
        runs=_with_present(await attempts.list_runs(store, id), row, boot, pid, host or "", usage),
        sent=detail,
        original_state=original_state,
        parent=links(targets, "parent"),
        children=links(sources, "parent"),
        retry_of=links(targets, "retry_of"),
        retried_as=links(sources, "retry_of"),
        masked=bool(is_masked),
        depends_on=[await _other(store, app_id, row.engine, other) for other in str(detail.get("depends_on", "")).splitlines()],
        dependents=[
            Link(other, task_ids.decode(task_id), name or "", STATE_NAMES.get(state, "")) for task_id, other, name, state in dependents
        ],
        same_id=[SameId(other, at, STATE_NAMES[state]) for other, at, state in same] if len(same) > 1 else [],
        broker=broker,
    )


async def _other(store: Store, app_id: int, engine: str, task_id: str) -> Link:
    row = await store.fetch_one(SQL["find_other"], {"app_id": app_id, "engine": engine, "task_id": task_ids.encode(task_id)})
    return Link(row[0], task_id, row[1] or "", STATE_NAMES.get(row[2], "")) if row else Link(None, task_id, "", "")


def _row(row: Row) -> TaskRow:
    (
        id, app, environment, engine, task_id, name, queue, worker, key, reason, first_at, last_at, enqueued_at,
        eta_attempt, eta_at, received_attempt, received_at, start_attempt, started_at, state_at, runtime_us, args,
        result, error_type, error, cancel_asked_at, release, flags, label, *_,
    ) = row  # fmt: skip
    state = STATE_NAMES[state_of(key)]
    attempt = attempt_of(key)
    # What belongs to another attempt than the one shown would only mislead beside it.
    eta_at = eta_at if eta_attempt is not None and eta_attempt >= attempt else None
    received_at = received_at if received_attempt == attempt else None
    started_at = started_at if start_attempt == attempt else None
    return TaskRow(
        id=id, app=app or "", environment=environment or "", engine=engine or "", task_id=task_ids.decode(task_id),
        name=name or "", queue=queue or "", worker=worker or "", state=state, reason=reason or "", attempt=attempt,
        first_at=first_at, last_at=last_at, enqueued_at=enqueued_at, eta_at=eta_at, received_at=received_at,
        started_at=started_at, ended_at=state_at if state in FINAL else None,
        waited_us=waited_us(attempt, enqueued_at, eta_at if eta_attempt == attempt else None, received_at, started_at),
        runtime_us=runtime_us, args=args or "", result=result or "", error_type=error_type or "", error=error or "",
        cancel_asked_at=cancel_asked_at, release=release or "", flags=attempts.flag_names(flags),
        label=label or "",
    )  # fmt: skip


def sent_fields(text: str | None) -> dict[str, str | int]:
    """Returns what was reported of the sending of a task: the fields of `TaskDetail.sent`."""
    if text is None:
        return {}
    keys = ("parent_id", "root_id", "group_id", "retry_of", "code", "route", "expires", "priority", "label", "depends_on")
    fields = zip(keys, task_columns.unpack_sent(text), NOTHING_SENT, strict=True)
    return {key: value for key, value, nothing in fields if value not in (nothing, NO_PRIORITY)}


def _with_present(
    stored: list[AttemptRow], row: TaskRow, boot: str | None, pid: int, host: str, usage: str | None
) -> list[AttemptRow]:  # fmt: skip
    """The stored runs and the one that is only in the task's own row: a plain first attempt."""
    run = "" if boot is None else f"{boot}.{pid}" if pid >= 0 else boot
    is_stored = any(attempt.attempt == row.attempt and attempt.run == run for attempt in stored)
    is_ended = row.ended_at is not None
    if is_stored or not (is_ended or row.state == "running") or (row.started_at is None and not is_ended):
        return stored
    present = AttemptRow(
        attempt=row.attempt, run=run, state=row.state, received_at=row.received_at, started_at=row.started_at,
        ended_at=row.ended_at, runtime_us=row.runtime_us, eta_at=None, worker=row.worker, host=host,
        release=row.release, reason=row.reason, error_type=row.error_type, error=row.error, traceback="",
        flags=row.flags, usage=attempts.usage_of(usage),
    )  # fmt: skip
    return sorted([*stored, present], key=lambda attempt: (attempt.attempt, attempt.started_at or attempt.ended_at or 0))
