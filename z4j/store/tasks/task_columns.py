# SPDX-License-Identifier: AGPL-3.0-or-later
"""A task's row as columns, and the same as the summary that the fold joins."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, NamedTuple

from z4j.rules.tasks.fold import NEVER, Summary
from z4j.store.fleet import processes
from z4j.store.names import name_limits, names
from z4j.store.sqlite.db import Connection
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


def encode(db: Connection, app_id: int, of: Summary) -> TaskColumns:
    """The columns of a summary."""
    key, at, run, worker, runtime_us, reason, error_type, error, result = of.state
    origin = processes.process_of(db, app_id, run)
    intern = name_limits.intern
    return TaskColumns._make((
        key & 15, key, -at, origin.boot_id, origin.pid, intern(db, app_id, "worker", worker),
        None if runtime_us < 0 else runtime_us, reason or None, error_type or None, error or None, result or None,
        of.first_at, of.last_at, None if of.enqueued_at == NEVER else of.enqueued_at,
        *(of.eta or (None, None)),
        *((of.received[0], -of.received[1]) if of.received else (None, None)),
        *((of.start[0], -of.start[1]) if of.start else (None, None)),
        *((of.name[0], intern(db, app_id, "name", of.name[1])) if of.name else (None, 0)),
        *((of.queue[0], intern(db, app_id, "queue", of.queue[1])) if of.queue else (None, 0)),
        *((of.environment[0], intern(db, app_id, "environment", of.environment[1])) if of.environment else (None, 0)),
        *((of.sent[0], _pack_sent(of.sent[1]), of.sent[1][8] or None) if of.sent else (None, None, None)),
        *((of.args[0], of.args[1], int(of.args[2])) if of.args else (None, None, 0)),
        of.original, None if of.cancel_asked_at == NEVER else of.cancel_asked_at, of.flags,
    ))  # fmt: skip


def decode(db: Connection, row: TaskColumns) -> Summary:
    """The reverse of `encode`: exactly the same summary."""
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
def _pack_sent(sent: tuple[Any, ...]) -> str:
    length = len(sent)
    while length and sent[length - 1] == NOTHING_SENT[length - 1]:
        length -= 1
    return json.dumps(sent[:length], separators=(",", ":"), ensure_ascii=False)


@lru_cache(4_096)
def unpack_sent(text: str) -> Any:
    """A `Sent` as the fold knows it."""
    return whole_sent(json.loads(text))
