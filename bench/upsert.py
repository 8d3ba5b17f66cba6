# SPDX-License-Identifier: AGPL-3.0-or-later
"""The machine's own yardstick: the rows that a server has just written, written again by one bare `executemany` into the same database."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from bench.traffic import EVENTS_PER_TASK, TASKS_PER_BATCH
from z4j.store.sqlite.writer import open_writer


def newest_task(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT coalesce(max(id), 0) FROM task").fetchone()[0])


def tasks_after(path: Path, id: int) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT count(*) FROM task WHERE id > ?", (id,)).fetchone()[0])


def upsert_events_per_s(path: Path, after: int) -> float:
    """Deletes the tasks with an id above `after` and upserts them again as they were, in transactions of one batch, with the writer's
    settings: each row once, with its original, where the server has written it as often as its news came."""
    with closing(open_writer(path)) as db:
        db.execute("PRAGMA synchronous = NORMAL")
        rows = db.execute("SELECT * FROM task WHERE id > ?", (after,)).fetchall()
        originals = db.execute("SELECT * FROM original WHERE task > ?", (after,)).fetchall()
        columns = [row[1] for row in db.execute("PRAGMA table_info(task)")]
        for table, key in (("task", "id"), ("original", "task")):
            db.execute(f"DELETE FROM {table} WHERE {key} > ?", (after,))
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        changes = ", ".join(f"{column} = excluded.{column}" for column in columns if column != "id")
        conflict = f"ON CONFLICT (task_id, app_id, engine_id, life) DO UPDATE SET {changes}"
        statement = f"INSERT INTO task VALUES ({', '.join('?' * len(columns))}) {conflict}"
        add_original = f"INSERT INTO original VALUES ({', '.join('?' * len(originals[0]))}) ON CONFLICT DO NOTHING" if originals else ""
        began = time.perf_counter()
        for start in range(0, len(rows), TASKS_PER_BATCH):
            db.execute("BEGIN IMMEDIATE")
            db.executemany(statement, rows[start : start + TASKS_PER_BATCH])
            if originals:
                db.executemany(add_original, originals[start : start + TASKS_PER_BATCH])
            db.execute("COMMIT")
        return len(rows) * EVENTS_PER_TASK / (time.perf_counter() - began)
