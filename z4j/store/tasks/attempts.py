# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores attempts, as far as the row of their task does not contain them. See `fold.attempt_delta` for which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from z4j.rules.tasks.fold import NEVER, AttemptSummary, run_join, state_of
from z4j.rules.tasks.states import FLAGS, STATE_NAMES
from z4j.store.errors import error_changes
from z4j.store.fleet import processes
from z4j.store.names import name_limits, names
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Row, Store
from z4j.store.tasks.task_columns import pack_usage, unpack_usage

SQL = sql.load("tasks/attempts")


@dataclass(frozen=True, slots=True)
class RunUsage:
    """What a run used; None where that was not measured."""

    cpu_us: int | None
    """CPU time in microseconds, of its thread or of its whole process during the run."""
    cpu_of: str
    """thread or process."""
    peak_kib: int | None
    """Highest memory of the process since it started, in KiB, as of the end of the run."""
    peak_rise_kib: int | None
    """By how much that rose during the run: 0 if the run needed no more than an earlier one."""
    is_own_process: bool
    """Whether the process executed this run only, so that the highest memory is that of the run."""


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One try of a task by one process. Times are microseconds UTC."""

    attempt: int
    run: str
    state: str
    received_at: int | None
    started_at: int | None
    ended_at: int | None
    runtime_us: int | None
    eta_at: int | None
    """When the attempt after this one was to start."""
    worker: str
    host: str
    release: str
    reason: str
    error_type: str
    error: str
    traceback: str
    flags: frozenset[str]
    usage: RunUsage | None = None
    """None where it was not measured."""


def save(db: Connection, app_id: int, news: Mapping[tuple[int, int, str], AttemptSummary]) -> bool:
    """Joins new summaries, by (task row, attempt, process token), with the stored ones. Returns whether anything changed."""
    puts = []
    for (task, attempt, token), summary in news.items():
        run = processes.process_of(db, app_id, token)
        at = {"task": task, "attempt": attempt, "boot_id": run.boot_id, "pid": run.pid}
        old = db.execute(SQL["find_run"], at).fetchone()
        new = summary if old is None else run_join(_decode(db, old), summary)
        values = _encode(db, app_id, new)
        if values != old:
            puts.append((task, attempt, run.boot_id, run.pid, *values))
    if puts:
        db.executemany(SQL["put_run"], puts)
        error_changes.note(db, (values[0] for values in puts))
    return bool(puts)


def read(db: Connection, task: int) -> list[tuple[int, str, AttemptSummary]]:
    """Returns the stored attempts of a task as (attempt, process token, summary)."""
    rows = db.execute(SQL["read_runs"], {"task": task}).fetchall()
    return [(attempt, processes.token_of(db, boot_id, pid), _decode(db, tuple(rest))) for attempt, boot_id, pid, *rest in rows]


def replace(db: Connection, app_id: int, task: int, news: Mapping[tuple[int, str], AttemptSummary]) -> None:
    """Replaces the attempts of a task by these, by (attempt, process token)."""
    db.execute(SQL["delete_runs"], {"task": task})
    error_changes.note(db, (task,))
    save(db, app_id, {(task, attempt, token): summary for (attempt, token), summary in news.items()})


async def list_runs(store: Store, task: int) -> list[AttemptRow]:
    """Lists the stored attempts of a task, first attempt first."""
    rows = await store.fetch_all(SQL["list_runs"], {"task": task})
    return [_row(row) for row in rows]


def usage_of(text: str | None) -> RunUsage | None:
    """Returns what a run used, from its stored form."""
    if not text:
        return None
    cpu_us, scope, peak, rise, is_own = unpack_usage(text)
    known = [None if number < 0 else number for number in (cpu_us, peak, rise)]
    return RunUsage(known[0], "thread" if scope == 1 else "process", known[1], known[2], is_own == 1)


def flag_names(flags: int) -> frozenset[str]:
    """Returns the names of the flags that are set in `flags`."""
    return frozenset(name for name, bit in FLAGS.items() if flags & bit and name != "again")


def _row(row: Row) -> AttemptRow:
    (
        attempt, key, at, runtime_us, worker, reason, error_type, error, traceback, received_at, started_at, eta_at,
        flags, boot, pid, host, release, usage,
    ) = row  # fmt: skip
    state = STATE_NAMES[state_of(key)]
    return AttemptRow(
        attempt=attempt, run=f"{boot}.{pid}" if pid >= 0 else boot or "", state=state, received_at=received_at,
        started_at=started_at, ended_at=None if state == "running" else at, runtime_us=runtime_us, eta_at=eta_at,
        worker=worker or "", host=host or "", release=release or "", reason=reason or "", error_type=error_type or "",
        error=error or "", traceback=traceback or "", flags=flag_names(flags), usage=usage_of(usage),
    )  # fmt: skip


def _encode(db: Connection, app_id: int, summary: AttemptSummary) -> Row:
    key, at, runtime_us, worker, reason, error_type, error, traceback, usage = summary.state
    return (
        key, -at, None if runtime_us < 0 else runtime_us, name_limits.intern(db, app_id, "worker", worker), reason or None,
        error_type or None, error or None, traceback or None, None if summary.received_at == NEVER else summary.received_at,
        None if summary.started_at == NEVER else summary.started_at, None if summary.eta_at < 0 else summary.eta_at, summary.flags,
        pack_usage(usage),
    )  # fmt: skip


def _decode(db: Connection, row: Row) -> AttemptSummary:
    (
        key, at, runtime_us, worker_id, reason, error_type, error, traceback, received_at, started_at, eta_at, flags, usage,
    ) = row  # fmt: skip
    return AttemptSummary(
        (
            key, -at, -1 if runtime_us is None else runtime_us, names.text_of(db, worker_id), reason or "",
            error_type or "", error or "", traceback or "", unpack_usage(usage),
        ),
        NEVER if received_at is None else received_at,
        NEVER if started_at is None else started_at,
        -1 if eta_at is None else eta_at,
        flags,
    )  # fmt: skip
