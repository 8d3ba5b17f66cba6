# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a database says about its tasks, without the ids that depend on the order of arrival."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from z4j.rules.tasks.states import FLAGS
from z4j.store.sqlite.db import Connection
from z4j.store.tasks import reused_ids
from z4j.store.tasks.task_columns import TaskColumns, decode

NAME = "(SELECT text FROM name WHERE id = {})"


def connect(path: Path) -> Connection:
    db = sqlite3.connect(path, factory=Connection, isolation_level=None)
    db.execute("PRAGMA query_only = 1")
    return db


def contents(db: Connection) -> dict[str, Any]:
    """Every table that ingest writes, as comparable values. Counters and minutes of nothing are left out."""
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
    counters = {
        (app, *(names[id] for id in key), state): tasks
        for app, *key, state, tasks in db.execute("SELECT * FROM counter").fetchall()
        if tasks
    }
    minutes = {
        (minute, app, *(names[id] for id in key), state): (tasks, runtime)
        for minute, app, *key, state, tasks, runtime in db.execute("SELECT * FROM minute").fetchall()
        if tasks or runtime
    }
    assert totals(db, "minute_total", "tasks", "failed") == totals(db, "minute", "tasks", "tasks * (state = 11)")
    return {
        "tasks": tasks,
        "runs": runs,
        "counters": counters,
        "minutes": minutes,
        "originals": {(ids[row[0]], *row[1:]) for row in db.execute("SELECT task, key, data, key_id FROM original")},
        "links": {(kind, target, ids[task]) for _, kind, target, task in db.execute("SELECT * FROM task_link")},
    }


def totals(db: Connection, table: str, tasks: str, failed: str) -> dict[Any, tuple[int, int]]:
    """Ends and failures per minute of each app, environment and engine, as one of the two tables says."""
    scope = "minute, app_id, environment_id, engine_id"
    rows = db.execute(f"SELECT {scope}, sum({tasks}), sum({failed}) FROM {table} GROUP BY {scope}").fetchall()
    return {row[:4]: row[4:] for row in rows if any(row[4:])}


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
