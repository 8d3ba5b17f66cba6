# SPDX-License-Identifier: AGPL-3.0-or-later
"""Converts between the columns of a task's row and the summary that the fold joins."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from z4j.rules.tasks import fast_fold
from z4j.rules.tasks.fast_fold import OWN
from z4j.rules.tasks.fold import MAX_ATTEMPT, NEVER, NOTHING, QUEUED, RECEIVED, RUNNING, Event, Summary, Usage, original_key
from z4j.rules.tasks.reused_ids.reuse_check import FIRST_FACTS
from z4j.store.fleet import processes
from z4j.store.names import name_limits, names
from z4j.store.sqlite.db import Connection, Row
from z4j.wire.records import NOTHING_SENT, whole_sent

_new = tuple.__new__  # makes a NamedTuple at half the price of calling its class


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
    usage: str | None


class StoredTask(NamedTuple):
    """A row id and its columns."""

    id: int
    columns: TaskColumns


NO_COLUMNS: Final = TaskColumns(
    *(0, 0, 0, 0, 0, 0, None, None, None, None, None, 0, 0, None, None, None, None, None, None, None),
    *(None, 0, None, 0, None, 0, None, None, None, None, None, 0, 0, None, 0, None),
)
"""Those of `NOTHING`, as far as `encode` uses them again."""
_KEPT: Final = slice(TaskColumns._fields.index("name_rank"), TaskColumns._fields.index("flags"))
"""Columns that the steps of the ordinary course after the first do not change."""
_FIRST_SENT: Final = OWN << 12 | MAX_ATTEMPT
"""The rank of the origin as the producer of the first attempt reports it."""


def encode(db: Connection, app_id: int, summary: Summary, before: Summary = NOTHING, old: TaskColumns = NO_COLUMNS) -> TaskColumns:
    """Returns the columns of a summary. Names are interned. What is the same object as in `before` is taken from `old`, its columns."""
    intern = name_limits.intern
    state, eta, received, start, name, queue = summary.state, summary.eta, summary.received, summary.start, summary.name, summary.queue
    place, sent, args = summary.environment, summary.sent, summary.args
    if state is before.state and state is not NOTHING.state:
        of_state, used = old[:11], old.usage
    else:
        key, at, run, worker, runtime_us, reason, error_type, error, result, usage = state
        origin = processes.process_of(db, app_id, run)
        of_state = (
            key & 15, key, -at, origin.boot_id, origin.pid, intern(db, app_id, "worker", worker),
            None if runtime_us < 0 else runtime_us, reason or None, error_type or None, error or None, result or None,
        )  # fmt: skip
        used = pack_usage(usage)
    return _new(TaskColumns, (
        *of_state,
        summary.first_at, summary.last_at, None if summary.enqueued_at == NEVER else summary.enqueued_at,
        *(eta if eta and eta is not before.eta else old[14:16]),
        *((received[0], -received[1]) if received and received is not before.received else old[16:18]),
        *((start[0], -start[1]) if start and start is not before.start else old[18:20]),
        *((name[0], intern(db, app_id, "name", name[1])) if name and name is not before.name else old[20:22]),
        *((queue[0], intern(db, app_id, "queue", queue[1])) if queue and queue is not before.queue else old[22:24]),
        *((place[0], intern(db, app_id, "environment", place[1])) if place and place is not before.environment else old[24:26]),
        *((sent[0], _pack_sent(sent[1]), sent[1][8] or None) if sent and sent is not before.sent else old[26:29]),
        *((args[0], args[1], int(args[2])) if args and args is not before.args else old[29:32]),
        summary.original, None if summary.cancel_asked_at == NEVER else summary.cancel_asked_at, summary.flags, used,
    ))  # fmt: skip


def decode(db: Connection, row: TaskColumns) -> Summary:
    """Returns the summary of columns: exactly the one that was encoded."""
    text_of = names.text_of
    return Summary(
        (
            row.state_key, -row.state_at, processes.token_of(db, row.boot_id, row.pid), text_of(db, row.worker_id),
            -1 if row.runtime_us is None else row.runtime_us, row.reason or "", row.error_type or "", row.error or "", row.result or "",
            unpack_usage(row.usage),
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


# -- the ordinary course ---------------------------------------------------------------------------------------------------
# Both functions return what `encode` of `fold` would, in a third of the time, or None where only `fold` knows.
def first_columns(db: Connection, app_id: int, events: Sequence[Event]) -> TaskColumns | None:
    """Returns the columns of a task of which nothing was known, see `rules.tasks.fast_fold`."""
    if not fast_fold.is_first(events):
        return None
    (
        _, _, at, _, _, environment, name, queue, _, _, _, runtime_us, reason, error_type, error, result, _, sent, _, _, _, _, flags, usage,
    ) = events[0]  # fmt: skip
    intern, after = name_limits.intern, 1
    last_at, args_rank, args, is_masked, original = at, None, None, 0, 0
    if len(events) > 1 and (payload := events[1])[0] == "payload":
        last_at, args_rank, args, is_masked, original, after = (
            payload.at,
            min(payload.rank, 255),
            payload.args,
            int(payload.is_masked),
            original_key(payload),
            2,
        )
    columns = _new(TaskColumns, (
        QUEUED, at // 1000 << 4 | QUEUED, at, 0, 0, 0, None if runtime_us < 0 else runtime_us,
        reason or None, error_type or None, error or None, result or None,
        at, last_at, at, None, None, None, None, None, None,
        OWN, intern(db, app_id, "name", name), OWN, intern(db, app_id, "queue", queue), OWN, intern(db, app_id, "environment", environment),
        *((_FIRST_SENT, _pack_sent(sent), sent[8] or None) if sent else (None, None, None)),
        args_rank, args, is_masked, original, None, flags, pack_usage(usage),
    ))  # fmt: skip
    return columns if after == len(events) else next_columns(db, app_id, columns, events[after:])


def next_columns(db: Connection, app_id: int, old: TaskColumns, events: Sequence[Event]) -> TaskColumns | None:
    """Returns the columns after the next steps of a task that was enqueued, or the end of one that is running."""
    (
        state, old_key, _, _, _, _, _, _, _, _, _, first_at, last_at, enqueued_at, eta_attempt, _, received_attempt, received_at,
        start_attempt, started_at, name_rank, _, queue_rank, _, environment_rank, _, _, _, _, args_rank, _, _, _, _, flags, _,
    ) = old  # fmt: skip
    ranks = (name_rank or 0) >= OWN and (queue_rank or 0) >= OWN and (environment_rank or 0) >= OWN
    if not ranks or enqueued_at is None or first_at != enqueued_at or old_key >= FIRST_FACTS or eta_attempt is not None or received_attempt:
        return None
    received = -1 if received_at is None else received_at
    if started_at is not None:
        if state != RUNNING or start_attempt or len(events) > 1 or not fast_fold.is_end(events[0], last_at, received, started_at):
            return None
        received, started = max(received, events[0].received_at), started_at
    else:
        if state != (QUEUED if received < 0 else RECEIVED):
            return None
        moments = fast_fold.steps(events, enqueued_at, last_at, received, fast_fold.latest_step(enqueued_at, args_rank, received))
        if moments is None:
            return None
        received, started = moments
    kind, _, at, run, worker, _, _, _, _, _, _, runtime_us, reason, error_type, error, result, _, _, _, _, _, _, _, usage = events[-1]
    for event in events:
        flags |= event.flags
    row: Row = old
    key, origin = fast_fold.key_of(kind, at), processes.process_of(db, app_id, run)
    return _new(TaskColumns, (
        key & 15, key, at, origin.boot_id, origin.pid, name_limits.intern(db, app_id, "worker", worker),
        None if runtime_us < 0 else runtime_us, reason or None, error_type or None, error or None, result or None,
        first_at, at, enqueued_at, None, None,
        None if received < 0 else 0, None if received < 0 else received, None if started < 0 else 0, None if started < 0 else started,
        *row[_KEPT], flags, pack_usage(usage),
    ))  # fmt: skip


def pack_usage(usage: Usage | tuple[()]) -> str | None:
    """Returns what a run used as it is stored."""
    return "[{},{},{},{},{}]".format(*usage) if usage else None


def unpack_usage(text: str | None) -> Any:
    """Returns a stored `Usage` as the fold uses it."""
    return tuple(json.loads(text)) if text else ()


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
