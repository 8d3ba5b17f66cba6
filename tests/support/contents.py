# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a database says about its tasks, without the ids that depend on the order of arrival."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from z4j.rules.rollups import COLUMNS, MINUTE_US, STEP_US, bucket_of
from z4j.rules.tasks.states import FINAL, FLAGS, STATE_NAMES
from z4j.store.rollups import queue_ledger
from z4j.store.rollups.downsampling import roll_minutes
from z4j.store.sqlite.db import Connection
from z4j.store.tasks import reused_ids
from z4j.store.tasks.task_columns import TaskColumns, decode

NAME = "(SELECT text FROM name WHERE id = {})"


def connect(path: Path) -> Connection:
    db = sqlite3.connect(path, factory=Connection, isolation_level=None)
    db.execute("PRAGMA query_only = 1")
    return db


def contents(db: Connection) -> dict[str, Any]:
    """Every table that ingest writes, as comparable values. Counters and sums of nothing are left out."""
    names = dict(db.execute("SELECT id, text FROM name").fetchall()) | {0: ""}
    tasks = {}
    ids = {}
    rows = db.execute("SELECT id, task_id, engine_id, first_at FROM task ORDER BY engine_id, task_id, first_at, id").fetchall()
    seen: dict[tuple[str, bytes], int] = {}
    for id, task_id, engine_id, _ in rows:
        of = (names[engine_id], task_id)
        # Which of the executions with this id it is.
        place = seen[of] = seen.get(of, -1) + 1
        key = ids[id] = (*of, place)
        row = db.execute(reused_ids.SQL["read_rows"], {"ids": f"[{id}]"}).fetchone()
        summary = decode(db, TaskColumns._make(row[1:]))
        # That an id was looked at closely depends on what came when; what was found does not.
        tasks[key] = (row[1], summary._replace(flags=summary.flags & ~FLAGS["again"]))
    boots = dict(db.execute("SELECT id, boot FROM boot").fetchall()) | {0: ""}
    runs = {
        (ids[row[0]], row[1], boots[row[2]], row[3]): (*row[4:7], names[row[7]], *row[8:])
        for row in db.execute("SELECT * FROM run").fetchall()
    }
    series = {row[0]: row[1:] for row in db.execute("SELECT * FROM series").fetchall()}
    counters = {
        (app, *(names[id] for id in key), state): tasks
        for app, *key, state, tasks in db.execute("SELECT * FROM counter").fetchall()
        if tasks
    }
    assert errors_as_kept(db) == errors_as_counted(db)
    keys = dict(db.execute("SELECT id, key FROM error_fingerprint").fetchall())
    listed = db.execute("SELECT id, fingerprint, environment_id, engine_id, queue_id, name_id FROM error_place").fetchall()
    places = {id: (keys[key], *(names[name] for name in of)) for id, key, *of in listed}
    return {
        "tasks": tasks,
        "runs": runs,
        "counters": counters,
        "rollups": {(at, *names_of(names, series[id])): sums for (step, at, id), sums in kept_rollups(db).items() if not step},
        "buckets": {
            (at, *names_of(names, series[id]), bucket): tasks for (step, at, id, bucket), tasks in kept_buckets(db).items() if not step
        },
        "workers": {
            (at, app, names[worker]): sums
            for step, at, app, worker, *sums in db.execute("SELECT * FROM worker_rollup").fetchall()
            if any(sums) and not step
        },
        "errors": {
            (ids[task], keys[key], kind, at, places[place])
            for task, key, kind, at, place in db.execute("SELECT task, fingerprint, kind, at, place FROM error_task")
        },
        "notes": {(ids[row[0]], *row[1:]) for row in db.execute("SELECT * FROM run_note")},
        "logs": logs(db, names, boots),
        "originals": {(ids[row[0]], *row[1:]) for row in db.execute("SELECT task, key, data, key_id FROM original")},
        "links": {
            (kind, target, ids[task])
            for table in ("task_link", "task_relation")
            for _, kind, target, task in db.execute(f"SELECT * FROM {table}")
        },
    }


def logs(db: Connection, names: dict[int, str], boots: dict[int, str]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """The log lines by their run, with what is kept of the run. What each app's lines take is what its runs take."""
    found: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    usage: Counter[tuple[int, str]] = Counter()
    for id, task_id, app_id, engine_id, attempt, started_at, boot, pid, count, size, dropped, last_at, _ in db.execute(
        "SELECT * FROM log_run"
    ):
        lines = tuple(db.execute("SELECT seq, at, level, logger, message, dropped FROM log_line WHERE run = ? ORDER BY seq", (id,)))
        assert count == len(lines)
        assert size == sum(40 + len(line[3]) + len(line[4]) for line in lines)
        usage.update({(app_id, "lines"): count, (app_id, "bytes"): size})
        found[names[engine_id], task_id, attempt, started_at, boots[boot], pid] = (dropped, last_at, lines)
    kept = {
        (app_id, word): value
        for app_id, *values in db.execute("SELECT * FROM log_usage")
        for word, value in zip(("lines", "bytes"), values, strict=True)
    }
    assert {key: value for key, value in kept.items() if value} == {key: value for key, value in usage.items() if value}
    return found


def names_of(names: dict[int, str], series: tuple[int, ...]) -> tuple[Any, ...]:
    app, environment, engine, is_total, name, queue, release = series
    return app, bool(is_total), *(names[id] for id in (environment, engine, name, queue, release))


def kept_rollups(db: Connection) -> dict[tuple[int, int, int], tuple[int, ...]]:
    return {row[:3]: row[3:] for row in db.execute("SELECT * FROM rollup").fetchall() if any(row[3:])}


def kept_buckets(db: Connection) -> dict[tuple[int, int, int, int], int]:
    return {row[:4]: row[4] for row in db.execute("SELECT * FROM rollup_bucket").fetchall() if row[4]}


def recount_rollups(db: Connection) -> tuple[Any, Any]:
    """The sums per minute, hour and day as kept, and as every task gives them: written apart from what keeps them."""
    series = {row[1:]: row[0] for row in db.execute("SELECT * FROM series").fetchall()}
    releases = dict(db.execute("SELECT id, coalesce(counted_release_id, 0) FROM boot").fetchall()) | {0: 0}
    sums: defaultdict[tuple[int, int, int], Counter[str]] = defaultdict(Counter)
    buckets: Counter[tuple[int, int, int, int]] = Counter()
    workers: defaultdict[tuple[int, int, int, int], Counter[str]] = defaultdict(Counter)
    ids = [row[0] for row in db.execute("SELECT id FROM task").fetchall()]
    rolled = int((db.execute("SELECT value FROM setting WHERE key = 'rolled_until'").fetchone() or (0,))[0])
    apps = {row[0]: row[1:] for row in db.execute("SELECT id, app_id, engine_id FROM task").fetchall()}
    for id, *columns in db.execute(reused_ids.SQL["read_rows"], {"ids": json.dumps(ids)}).fetchall():
        row, (app, engine) = TaskColumns._make(columns), apps[id]
        wait = waited(db, id)
        moments: list[tuple[int, int, dict[str, int], int | None]] = []
        if row.enqueued_at is not None:
            moments.append((row.enqueued_at, 0, {"enqueued": 1}, None))
        if row.started_at is not None:
            started = {"started": 1, "retried": row.start_attempt or 0}
            known = {} if wait is None else {"waited": 1, "waited_us": wait}
            moments.append((row.started_at, releases[row.boot_id], started | known, None if wait is None else 256 + bucket_of(wait)))
        if STATE_NAMES[row.state] in FINAL:
            ran = {} if row.runtime_us is None else {"ran": 1, "ran_us": row.runtime_us}
            bucket = None if row.runtime_us is None else bucket_of(row.runtime_us)
            moments.append((row.state_at, releases[row.boot_id], {STATE_NAMES[row.state]: 1} | ran, bucket))
        for at, release, adds, bucket in moments:
            scope = (app, row.environment_id, engine)
            for key in ((*scope, 0, row.name_id, row.queue_id, release), (*scope, 1, 0, 0, 0)):
                for step, length in steps(at, rolled):
                    place = (step, at // length * length, series[key])
                    sums[place].update(adds)
                    if bucket is not None:
                        buckets[*place, bucket] += 1
        if STATE_NAMES[row.state] in FINAL and row.worker_id:
            for step, length in steps(row.state_at, rolled):
                of_worker = workers[step, row.state_at // length * length, app, row.worker_id]
                of_worker.update(ended=1, failed=STATE_NAMES[row.state] == "failed", busy_us=row.runtime_us or 0)
    counted = {key: tuple(values[column] for column in COLUMNS) for key, values in sums.items()}
    of_workers = {key: tuple(values[column] for column in ("ended", "failed", "busy_us")) for key, values in workers.items()}
    kept_workers = {row[:4]: row[4:] for row in db.execute("SELECT * FROM worker_rollup").fetchall() if any(row[4:])}
    return (kept_rollups(db), kept_buckets(db), kept_workers), (counted, dict(buckets), of_workers)


def recount_ledger(db: Connection) -> tuple[Any, Any]:
    """The ledger of each queue as kept, and as every task gives it: written apart from what keeps it."""
    counted: defaultdict[tuple[int, ...], Counter[str]] = defaultdict(Counter)
    query = "SELECT app_id, environment_id, engine_id, queue_id, first_at, enqueued_at, state FROM task WHERE queue_id != 0"
    for *place, first_at, enqueued_at, state in db.execute(query).fetchall():
        word = STATE_NAMES[state]
        column = "ended" if word in FINAL else word if word in ("queued", "running") else "waiting"
        hour = counted[*place, first_at // STEP_US[1] * STEP_US[1]]
        hour.update(["unmonitored"] if enqueued_at is None else ["sent", column])
    kept = {row[:5]: row[5:] for row in db.execute("SELECT * FROM queue_ledger").fetchall() if any(row[5:])}
    return kept, {key: tuple(hour[column] for column in queue_ledger.COLUMNS) for key, hour in counted.items()}


def roll_a_minute(db: Connection) -> None:
    """Adds the next minute to its hour and day, as the server does some time later: what comes afterwards is late."""
    rolled = int((db.execute("SELECT value FROM setting WHERE key = 'rolled_until'").fetchone() or (0,))[0])
    (at,) = db.execute("SELECT min(at) FROM rollup WHERE step = 0 AND at >= ?", (rolled,)).fetchone()
    if at is not None:
        roll_minutes(db, at, at + MINUTE_US)


def steps(at: int, rolled: int) -> list[tuple[int, int]]:
    """The steps that a moment is counted in, with their lengths: hours and days have the minutes before `rolled`."""
    return list(enumerate(STEP_US))[: 3 if at < rolled else 1]


def waited(db: Connection, id: int) -> int | None:
    """How long the last attempt that started had waited, by its own columns."""
    attempt, enqueued, eta_attempt, eta, received_attempt, received, started = db.execute(
        "SELECT start_attempt, enqueued_at, eta_attempt, eta_at, received_attempt, received_at, started_at FROM task WHERE id = ?", (id,)
    ).fetchone()
    ready = [at for at in (enqueued if not attempt else None, eta if eta_attempt == (attempt or 0) else None) if at is not None]
    if not ready and received_attempt == (attempt or 0) and received is not None:
        ready = [received]
    return max(0, started - max(ready)) if ready and started is not None else None


def errors_as_kept(db: Connection) -> dict[Any, tuple[int, ...]]:
    """Failed tasks, failed attempts and cured ones of each fingerprint, group, place and hour, as they are kept."""
    tables = {
        "fingerprint": "SELECT id, stored, failed, retried, cured FROM error_fingerprint",
        "group": "SELECT id, stored, failed, retried, cured FROM error_group",
        "place": "SELECT id, failed + retried + cured, failed, retried, cured FROM error_place",
        "hour": "SELECT fingerprint || ' ' || hour, failed + retried + cured, failed, retried, cured FROM error_hour",
    }
    return {(table, row[0]): row[1:] for table, text in tables.items() for row in db.execute(text).fetchall() if any(row[1:])}


def errors_as_counted(db: Connection) -> dict[Any, tuple[int, ...]]:
    """The same, as counting what each task adds gives them. Nothing may have been deleted."""
    kinds = "count(*), sum(kind = 0), sum(kind = 1), sum(kind = 2)"
    group = "(SELECT error_group FROM error_fingerprint WHERE id = fingerprint)"
    of = {"fingerprint": "fingerprint", "group": group, "place": "place", "hour": "fingerprint || ' ' || (at / 3600000000)"}
    return {
        (table, row[0]): row[1:]
        for table, by in of.items()
        for row in db.execute(f"SELECT {by}, {kinds} FROM error_task GROUP BY 1").fetchall()
    }


def recount(db: Connection) -> tuple[dict[Any, int], dict[Any, int]]:
    """The counters as kept, and as counting the tasks gives them."""
    kept = {
        row[:-1]: row[-1]
        for row in db.execute("SELECT app_id, environment_id, engine_id, queue_id, name_id, state, tasks FROM counter")
        if row[-1]
    }
    counted = {
        row[:-1]: row[-1]
        for row in db.execute(
            "SELECT app_id, environment_id, engine_id, queue_id, name_id, state, count(*) FROM task GROUP BY 1, 2, 3, 4, 5, 6"
        )
    }
    return kept, counted
