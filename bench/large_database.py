# SPDX-License-Identifier: AGPL-3.0-or-later
"""A database of millions of finished tasks that filled a day, made once and used again by the benchmarks.

One task of each kind is written by the server's own functions; its row is then multiplied with SQL. The index of the random IDs is filled
in that order, so that its pages are as full as they become in life; the other indexes, whose order is that of time, are made at the end.
Ten million tasks took 145 s and 3.5 GB of disk. There are no originals, which nobody reads here. The folder is `Z4J_BENCH_FOLDER`, else
/var/tmp/z4j-bench.

    python -m bench.large_database [tasks]
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Final

from bench.traffic import NAMES, QUEUES, origin
from z4j import clock
from z4j.agents.ingest import apply_batch
from z4j.rules.rollups import COLUMNS, MINUTE_US, STEP_US, WAITS, bucket_of
from z4j.store.names import names
from z4j.store.sqlite.migrate import migrate, newest
from z4j.store.sqlite.writer import open_writer
from z4j_agent import wire

SPAN_US: Final = 24 * 3_600_000_000
WORKERS: Final = 4
FAILS: Final = 40
"""One task of so many fails, but of `RARE` one of `RARELY`."""
RARE: Final = 31
RARELY: Final = 200_000


def folder() -> Path:
    return Path(os.environ.get("Z4J_BENCH_FOLDER", "/var/tmp/z4j-bench"))  # on disk, and there after a restart


def database(tasks: int) -> Path:
    """The data folder of a server with an app and so many tasks. Rows that a benchmark adds have greater ids: see `forget_news`."""
    data = folder() / f"{tasks}-schema-{newest()}"
    if not (data / "whole").exists():
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(parents=True, mode=0o700)
        _make(data / "z4j.db", tasks)
        (data / "whole").touch()
    with closing(sqlite3.connect(data / "z4j.db")) as db:
        is_added_to = db.execute("SELECT max(id) > ? FROM task", (tasks,)).fetchone()[0]
    if is_added_to:  # by a benchmark that was interrupted
        forget_news(data / "z4j.db", tasks)
    _read_once(data / "z4j.db")
    return data


def _read_once(path: Path) -> None:
    """So that the operating system holds it in memory: the first read of a page from this disk takes 70 µs."""
    with path.open("rb", buffering=0) as file:
        while file.read(1 << 24):
            pass


def forget_news(path: Path, tasks: int) -> None:
    """Deletes what was added since, with the server stopped. Counters are computed again, the statistics of the added minutes stay."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA cache_size = -262144")
        db.execute("BEGIN IMMEDIATE")
        db.execute("DELETE FROM original WHERE task > ?", (tasks,))
        db.execute("DELETE FROM task WHERE id > ?", (tasks,))
        db.execute("DELETE FROM counter")
        db.execute("INSERT INTO counter SELECT * FROM counter_of_base")
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _template(path: Path, at: int) -> None:
    """One task that succeeded and one that failed, as the server stores them."""
    with closing(open_writer(path)) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO app (name, created_at) VALUES ('shop', 0)")
        batch = b"".join(origin(f"worker{number}", "worker", at) for number in range(WORKERS)) + origin("producer", "producer", at)
        for number, end in enumerate(("succeeded", "failed")):
            head, tail = ["celery", f"template-{number}", 0], [NAMES[0], QUEUES[0]]
            times = [at + 900, at + 2_000, 7_000]
            args = ["payload", *head, at, "producer.7", *tail, 2, '[12345, "order"] {"retry": false}', False, None, "none"]
            last: list[object] = ["succeeded", *head, at + 9_000, "worker0.8", *tail, *times, '{"ok": true}', None]
            if end == "failed":
                last = ["failed", *head, at + 9_000, "worker0.8", *tail, *times, "exception", "ValueError", "no such order", "", None]
            batch += b"".join(
                wire.encode_record(record)
                for record in (["enqueued", *head, at, "producer.7", *tail, None, {"code": "shop/views.py:31"}], args, last)
            )
        done = apply_batch(db, 1, batch, at + 60_000_000)
        assert done.tasks == 2, done
        for kind, texts in (("name", NAMES), ("queue", QUEUES)):
            for text in texts:
                names.intern(db, kind, text)
        db.execute("COMMIT")


def _make(path: Path, tasks: int) -> None:
    migrate(path)
    start = clock.now() - SPAN_US
    _template(path, start)
    step = SPAN_US // tasks
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for pragma in ("synchronous = OFF", "cache_size = -1048576", "temp_store = FILE", "wal_autocheckpoint = 0", "threads = 2"):
            db.execute(f"PRAGMA {pragma}")
        db.execute("PRAGMA journal_mode = MEMORY")
        columns = [row[1] for row in db.execute("PRAGMA table_info(task)")]
        indexes = db.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'task' AND sql IS NOT NULL"
        ).fetchall()
        indexes = [index for index in indexes if index[0] != "task_identity"]
        for name, _ in indexes:
            db.execute(f"DROP INDEX {name}")
        for kind, texts in (("name", NAMES), ("queue", QUEUES)):
            db.execute(f"CREATE TEMP TABLE {kind}_of (n INTEGER PRIMARY KEY, id)")
            ids = dict(db.execute("SELECT text, id FROM name WHERE kind = ?", (kind,)).fetchall())
            db.executemany(f"INSERT INTO {kind}_of VALUES (?, ?)", [(n, ids[text]) for n, text in enumerate(texts)])
        db.execute("CREATE TEMP TABLE template AS SELECT * FROM task ORDER BY id")
        for name in ("task", "run", "counter"):
            db.execute(f"DELETE FROM {name}")
        shifted = {"state_at", "first_at", "last_at", "enqueued_at", "received_at", "started_at"}
        told = {
            "id": "s.n", "task_id": "randomblob(16)", "name_id": "name_of.id", "queue_id": "queue_of.id",
            "worker_id": "w.worker_id", "boot_id": "w.id",
        } | {column: f"t.{column} + s.n * {step}" for column in shifted}  # fmt: skip
        failed = f"CASE WHEN s.n % {len(NAMES)} = {RARE} THEN s.n % {RARELY} = {RARE} ELSE s.n / {len(NAMES)} % {FAILS} = 0 END"
        db.execute("BEGIN")
        db.execute(f"""
            WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {tasks})
            INSERT INTO task ({", ".join(columns)})
            SELECT {", ".join(told.get(column, f"t.{column}") for column in columns)}
            FROM s CROSS JOIN name_of ON name_of.n = s.n % {len(NAMES)} CROSS JOIN queue_of ON queue_of.n = name_of.n % {len(QUEUES)}
              CROSS JOIN (SELECT row_number() OVER (ORDER BY id) - 1 AS n, * FROM boot WHERE role = 'worker') AS w ON w.n = s.n % {WORKERS}
              CROSS JOIN template AS t ON t.id = 1 + ({failed})
        """)
        _statistics(db)
        db.execute("COMMIT")
        for _, statement in indexes:
            db.execute(statement)
        db.execute("PRAGMA journal_mode = WAL")


def _statistics(db: sqlite3.Connection) -> None:
    place = "app_id, environment_id, engine_id, queue_id, name_id, state"
    db.execute(f"INSERT INTO counter SELECT {place}, count(*) FROM task GROUP BY {place}")
    db.execute("CREATE TABLE counter_of_base AS SELECT * FROM counter")
    _rollups(db)


MOMENTS: Final = {
    "enqueued_at": ("0", "'enqueued'", "0", "0", "NULL"),
    "started_at": ("b.release_id", "'started'", "0", "0", f"{WAITS} + bucket_of(max(started_at - enqueued_at, 0))"),
    "state_at": ("b.release_id", "CASE state WHEN 12 THEN 'succeeded' ELSE 'failed' END", "1", "runtime_us", "bucket_of(runtime_us)"),
}
"""By the column of its time, what a task adds: release, sum, how many ran, for how long, bucket."""


def _rollups(db: sqlite3.Connection) -> None:
    """Sums and histograms of all tasks, as the server would have kept them."""
    db.create_function("bucket_of", 1, bucket_of, deterministic=True)
    db.execute("UPDATE boot SET counted_release_id = coalesce(release_id, 0)")
    place = "app_id, environment_id, engine_id, name_id, queue_id"
    db.execute(f"CREATE TEMP TABLE moment (at, {place}, release_id, adds, ran, ran_us, bucket, tasks)")
    for column, (release, adds, ran, ran_us, bucket) in MOMENTS.items():
        db.execute(f"""
            INSERT INTO moment SELECT t.{column} / {MINUTE_US} * {MINUTE_US}, {", ".join(f"t.{name}" for name in place.split(", "))},
              {release}, {adds}, sum({ran}), sum({ran_us}), {bucket}, count(*)
            FROM task AS t LEFT JOIN boot AS b ON b.id = t.boot_id GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 11""")
    db.execute("DELETE FROM series")
    db.execute(f"INSERT INTO series (is_total, {place}, release_id) SELECT DISTINCT 0, {place}, release_id FROM moment")
    db.execute(
        f"INSERT INTO series (is_total, {place}, release_id) SELECT DISTINCT 1, app_id, environment_id, engine_id, 0, 0, 0 FROM moment"
    )
    own = " AND ".join(f"s.{name} = m.{name}" for name in (*place.split(", "), "release_id"))
    whole = "s.app_id = m.app_id AND s.environment_id = m.environment_id AND s.engine_id = m.engine_id"
    for name in ("rollup", "rollup_bucket", "worker_rollup"):
        db.execute(f"DELETE FROM {name}")
    for joined in (f"s.is_total = 0 AND {own}", f"s.is_total = 1 AND {whole}"):
        for step, length in enumerate(STEP_US):
            at = f"m.at / {length} * {length}"
            sums = {name: f"sum(m.tasks * (m.adds = '{name}'))" for name in COLUMNS} | {"ran": "sum(m.ran)", "ran_us": "sum(m.ran_us)"}
            sums |= {"waited": "0", "waited_us": "0"}
            db.execute(f"""
                INSERT INTO rollup SELECT {step}, {at}, s.id, {", ".join(sums[name] for name in COLUMNS)}
                FROM moment AS m JOIN series AS s ON {joined} GROUP BY 2, 3""")
            db.execute(f"""
                INSERT INTO rollup_bucket SELECT {step}, {at}, s.id, m.bucket, sum(m.tasks)
                FROM moment AS m JOIN series AS s ON {joined} WHERE m.bucket IS NOT NULL GROUP BY 2, 3, 4""")
    db.execute("INSERT OR REPLACE INTO setting (key, value) SELECT 'rolled_until', CAST(max(at) + 60000000 AS TEXT) FROM moment")
    db.execute("DROP TABLE moment")


if __name__ == "__main__":
    began = time.monotonic()
    data = database(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000)
    print(f"{data}: {(data / 'z4j.db').stat().st_size / 1e9:.1f} GB after {time.monotonic() - began:.0f} s")
