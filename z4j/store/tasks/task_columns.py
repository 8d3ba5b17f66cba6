# SPDX-License-Identifier: AGPL-3.0-or-later
"""Converts between the columns of a task's row and the summary that the fold joins."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, NamedTuple

from z4j.rules.tasks.fold import NEVER, Summary
from z4j.store.fleet import processes
from z4j.store.names import name_limits, names
from z4j.store.sqlite.db import Connection, Row
from z4j.wire.records import NOTHING_SENT, whole_sent


class TaskColumns(NamedTuple):
    """The columns of a task's row that news changes, in the order of every SQL block that reads or writes them all
    (`tests/contract/test_sql.py` compares). Times are microseconds UTC; an id of a name is 0 where there is none."""

    state: int
    state_key: int
    state_at: int
    boot_id: int
    pid: int
    worker_id: int
    runtime_us: int | None
    reason: str | None
    error_type: str | None
    error: str | None
    result: str | None
    first_at: int
    last_at: int
    enqueued_at: int | None
    eta_attempt: int | None
    eta_at: int | None
    received_attempt: int | None
    received_at: int | None
    start_attempt: int | None
    started_at: int | None
    name_rank: int | None
    name_id: int
    queue_rank: int | None
    queue_id: int
    environment_rank: int | None
    environment_id: int
    sent_rank: int | None
    sent: str | None
    label: str | None
    args_rank: int | None
    args: str | None
    is_masked: int
    original_key: int
    cancel_asked_at: int | None
    flags: int


class StoredTask(NamedTuple):
    """A row id and its columns."""

    id: int
    columns: TaskColumns


def encode(db: Connection, app_id: int, summary: Summary) -> TaskColumns:
    """Returns the columns of a summary. Names are interned."""
    key, at, run, worker, runtime_us, reason, error_type, error, result = summary.state
    origin = processes.process_of(db, app_id, run)
    intern = name_limits.intern
    return TaskColumns._make((
        key & 15, key, -at, origin.boot_id, origin.pid, intern(db, app_id, "worker", worker),
        None if runtime_us < 0 else runtime_us, reason or None, error_type or None, error or None, result or None,
        summary.first_at, summary.last_at, None if summary.enqueued_at == NEVER else summary.enqueued_at,
        *(summary.eta or (None, None)),
        *((summary.received[0], -summary.received[1]) if summary.received else (None, None)),
        *((summary.start[0], -summary.start[1]) if summary.start else (None, None)),
        *((summary.name[0], intern(db, app_id, "name", summary.name[1])) if summary.name else (None, 0)),
        *((summary.queue[0], intern(db, app_id, "queue", summary.queue[1])) if summary.queue else (None, 0)),
        *((summary.environment[0], intern(db, app_id, "environment", summary.environment[1])) if summary.environment else (None, 0)),
        *((summary.sent[0], _pack_sent(summary.sent[1]), summary.sent[1][8] or None) if summary.sent else (None, None, None)),
        *((summary.args[0], summary.args[1], int(summary.args[2])) if summary.args else (None, None, 0)),
        summary.original, None if summary.cancel_asked_at == NEVER else summary.cancel_asked_at, summary.flags,
    ))  # fmt: skip


def decode(db: Connection, row: TaskColumns) -> Summary:
    """Returns the summary of columns: exactly the one that was encoded."""
    text_of = names.text_of
    return Summary(
        (
            row.state_key, -row.state_at, processes.token_of(db, row.boot_id, row.pid), text_of(db, row.worker_id),
            -1 if row.runtime_us is None else row.runtime_us, row.reason or "", row.error_type or "", row.error or "", row.result or "",
        ),
        row.first_at,
        row.last_at,
        NEVER if row.enqueued_at is None else row.enqueued_at,
        () if row.eta_attempt is None or row.eta_at is None else (row.eta_attempt, row.eta_at),
        () if row.received_attempt is None or row.received_at is None else (row.received_attempt, -row.received_at),
        () if row.start_attempt is None or row.started_at is None else (row.start_attempt, -row.started_at),
        () if row.name_rank is None else (row.name_rank, text_of(db, row.name_id)),
        () if row.queue_rank is None else (row.queue_rank, text_of(db, row.queue_id)),
        () if row.environment_rank is None else (row.environment_rank, text_of(db, row.environment_id)),
        () if row.sent_rank is None else (row.sent_rank, unpack_sent(row.sent)),
        () if row.args_rank is None or row.args is None else (row.args_rank, row.args, bool(row.is_masked)),
        row.original_key,
        NEVER if row.cancel_asked_at is None else row.cancel_asked_at,
        row.flags,
    )  # fmt: skip


@lru_cache(4_096)  # most tasks of an app come from a few places
def _pack_sent(sent: Row) -> str:
    length = len(sent)
    while length and sent[length - 1] == NOTHING_SENT[length - 1]:
        length -= 1
    return json.dumps(sent[:length], separators=(",", ":"), ensure_ascii=False)


@lru_cache(4_096)
def unpack_sent(text: str) -> Any:
    """Returns a stored `Sent` as the fold uses it."""
    return whole_sent(json.loads(text))
