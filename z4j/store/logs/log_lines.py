# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores and reads the log lines of tasks. What is stored is a function of the set of reported lines, whatever their order and copies.

A line is known by its run (task, attempt, process, start) and its number in it. Of two different lines with one number, which no agent of
ours sends, the greater one stays. Lines are kept by the id of the task and not by its row: they may arrive before it, and the rows of an id
that is used repeatedly may change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from z4j.store.fleet import processes
from z4j.store.search import word_changes
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Store

SQL = sql.load("logs/log_lines")

MAX_LINES: Final = 2_000
"""Of one run. An agent sends fewer."""
MAX_RUNS: Final = 20
"""Of one task that are read."""
LINE_BYTES: Final = 40
"""What a line takes beside its texts."""


class RunKey(NamedTuple):
    """A run of a task: engine (row id of its name), encoded task id, attempt, process token, start in microseconds UTC (0: unknown)."""

    engine_id: int
    task_id: bytes
    attempt: int
    token: str
    started_at: int


@dataclass(frozen=True, slots=True, order=True)
class LogLine:
    """A log line; `at` is in microseconds UTC, `level` a number of the module `logging`."""

    seq: int
    at: int
    level: int
    """0: the note of an agent that the run has ended, which is not stored."""
    logger: str
    message: str
    dropped: int
    """Lines of the run that were dropped before it."""


@dataclass(frozen=True, slots=True)
class LogRun:
    """A run of a task and its last lines, the earliest first. `total` is the number of stored lines of any level."""

    id: int
    attempt: int
    started_at: int | None
    run: str
    """Process token, as in `AttemptRow`."""
    host: str
    total: int
    dropped: int
    """Lines that the agent dropped, because they were beyond its limits."""
    last_at: int
    lines: list[LogLine]


def save(db: Connection, app_id: int, news: Mapping[RunKey, list[LogLine]]) -> bool:
    """Stores lines by their runs. Returns whether anything changed."""
    grown_lines = grown_bytes = 0
    is_changed = False
    changed: list[tuple[int, int, bytes]] = []
    for key, lines in news.items():
        process = processes.process_of(db, app_id, key.token)
        at = {
            "task_id": key.task_id, "app_id": app_id, "engine_id": key.engine_id, "attempt": key.attempt, "started_at": key.started_at,
            "boot_id": process.boot_id, "pid": process.pid,
        }  # fmt: skip
        found = db.execute(SQL["find_run"], at).fetchone()
        id, count, size, dropped, last_at, noted = found or (db.execute(SQL["add_run"], at).fetchone()[0], 0, 0, 0, 0, 0)
        new_lines, new_bytes = _put(db, id, lines, is_new=found is None)
        count, size = count + new_lines, size + new_bytes
        is_over = any(not line.level for line in lines)
        if count > noted and (is_over or count >= 2 * noted):
            noted = count
            changed.append((app_id, key.engine_id, key.task_id))
        row = {
            "id": id, "lines": count, "bytes": size, "dropped": max([dropped, *(line.dropped for line in lines)]),
            "last_at": max([last_at, *(line.at for line in lines)]), "noted": noted,
        }  # fmt: skip
        if found != tuple(row.values()) or new_bytes:
            db.execute(SQL["change_run"], row)
            is_changed = True
        grown_lines, grown_bytes = grown_lines + new_lines, grown_bytes + new_bytes
    if grown_lines or grown_bytes:
        db.execute(SQL["count_usage"], {"app_id": app_id, "lines": grown_lines, "bytes": grown_bytes})
    _note_words(db, changed)
    return is_changed


def _put(db: Connection, run: int, lines: Iterable[LogLine], *, is_new: bool) -> tuple[int, int]:
    """Writes what is not stored. Returns by how many lines and bytes the run grew."""
    best: dict[int, LogLine] = {}
    for line in lines:
        if line.level and line.seq < MAX_LINES:
            best[line.seq] = max(line, best.get(line.seq, line))
    if not best:
        return 0, 0
    span = {"run": run, "low": min(best), "high": max(best)}
    stored = {} if is_new else {row[0]: LogLine(*row) for row in db.execute(SQL["read_lines"], span)}
    puts = [line for seq, line in best.items() if seq not in stored or line > stored[seq]]
    db.write_rows(SQL["put_line"], [(run, line.seq, line.at, line.level, line.logger, line.message, line.dropped) for line in puts])
    grown = sum(_size(line) - (_size(stored[line.seq]) if line.seq in stored else 0) for line in puts)
    return sum(line.seq not in stored for line in puts), grown


def _size(line: LogLine) -> int:
    return LINE_BYTES + len(line.logger) + len(line.message)


def _note_words(db: Connection, ids: Iterable[tuple[int, int, bytes]]) -> None:
    """Has the index of words read the lines of these tasks. Not for every line: each time all lines of a task are read."""
    for app_id, engine_id, task_id in dict.fromkeys(ids):
        row = db.execute(SQL["find_tasks"], {"task_id": task_id, "app_id": app_id, "engine_id": engine_id}).fetchone()
        if row is not None:
            word_changes.note(db, (row[0],), word_changes.LINES)


async def read_log(store: Store, task: int, *, level: int = 0, limit: int = MAX_LINES, run: int | None = None) -> list[LogRun]:
    """Reads the newest runs of a task (row id) that wrote lines, the earliest first, each with its last `limit` lines from `level` on; of
    one run only, if `run` is given."""
    runs = []
    for id, attempt, started_at, boot, pid, host, total, dropped, last_at in await store.fetch_all(
        SQL["list_runs"], {"task": task, "limit": MAX_RUNS}
    ):
        if run is None or run == id:
            lines = await store.fetch_all(SQL["list_lines"], {"run": id, "level": level, "limit": limit})
            token = "" if boot is None else f"{boot}.{pid}" if pid >= 0 else boot
            runs.append(
                LogRun(
                    id,
                    attempt,
                    started_at or None,
                    token,
                    host or "",
                    total,
                    dropped,
                    last_at,
                    [LogLine(*line) for line in reversed(lines)],
                )
            )
    return runs[::-1]
