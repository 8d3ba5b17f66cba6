# SPDX-License-Identifier: AGPL-3.0-or-later
"""A database of millions of tasks that filled a day, made once and used again by the benchmarks.

One task of each kind is written by the server's own functions; its row is then multiplied with SQL, with arguments, durations and a worker
of its own. The index of the random IDs is filled in that order, so that its pages are as full as they become in life; the other indexes,
whose order is that of time, are made at the end. The sums of the day are those of its tasks, and are repeated for the four weeks before
it, whose tasks retention has deleted. The rest is filled by `bench.large_fill`. There are no originals, which nobody reads here. The folder
is `Z4J_BENCH_FOLDER`, else /var/tmp/z4j-bench.

    python -m bench.large_database [tasks]
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import time
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Final

from bench.large_fill import fill
from bench.traffic import NAMES, QUEUES
from z4j import clock
from z4j.agents.ingest import apply_batch
from z4j.rules.rollups import COLUMNS, MINUTE_US, STEP_US, WAITS, bucket_of
from z4j.store.names import names
from z4j.store.sqlite.migrate import migrate, newest
from z4j.store.sqlite.writer import open_writer
from z4j_agent import wire
from z4j_agent.wire.redaction import RULES

FORM: Final = 2
"""Has to rise with each change of what is filled in: a database of an earlier form is not used."""
SPAN_US: Final = 24 * 3_600_000_000
WORKERS: Final = 12
RELEASES: Final = 3
"""Each for a third of the day: so many processes of each worker."""
WAITING: Final = 300
"""The newest tasks, which were not started yet."""
DAYS_BEFORE: Final = 27
"""Days of sums before that of the tasks."""
FAILURE: Final = ("exception", "ValueError", "no such order", "")
ERROR_TYPE: Final = """CASE name_of.n % 4 WHEN 0 THEN 'ValueError' WHEN 1 THEN 'KeyError' WHEN 2 THEN 'shop.errors.Timeout'
  ELSE 'ConnectionError' END"""
ERROR: Final = """'no such ' || substr('invoiceparcelsrefundsreturnspaymentvoucheraddress', 1 + 7 * (name_of.n % 7), 7) || ': ' || s.n"""
FAILS: Final = 40
"""One task of so many fails, but of `RARE` one of `RARELY`."""
RARE: Final = 31
RARELY: Final = 200_000


def folder() -> Path:
    return Path(os.environ.get("Z4J_BENCH_FOLDER", "/var/tmp/z4j-bench"))  # on disk, and there after a restart


def database(tasks: int) -> Path:
    """The data folder of a server with an app and so many tasks. Rows that a benchmark adds have greater ids: see `forget_news`."""
    data = folder() / f"{tasks}-schema-{newest()}-form-{FORM}"
    if not (data / "whole").exists():
        shutil.rmtree(data, ignore_errors=True)
        earlier = _of_earlier_schema(tasks)
        if earlier:
            _migrate_copy(earlier, data)
        else:
            data.mkdir(parents=True, mode=0o700)
            _make(data / "z4j.db", tasks)
        (data / "whole").touch()
    with closing(sqlite3.connect(data / "z4j.db")) as db:
        is_added_to = db.execute("SELECT max(id) > ? FROM task", (tasks,)).fetchone()[0]
    if is_added_to:  # by a benchmark that was interrupted
        forget_news(data / "z4j.db", tasks)
    _read_once(data / "z4j.db")
    return data


def _of_earlier_schema(tasks: int) -> Path | None:
    """The whole database of the same form with the newest earlier schema, if there is one."""
    found = {}
    for each in folder().glob(f"{tasks}-schema-*-form-{FORM}"):
        schema = int(each.name.split("-")[2])
        if schema < newest() and (each / "whole").exists():
            found[schema] = each
    return found[max(found)] if found else None


def _migrate_copy(earlier: Path, data: Path) -> None:
    """A migration takes seconds where filling takes half an hour. The earlier database is only read."""
    shutil.copytree(earlier, data, ignore=shutil.ignore_patterns("whole"))
    began = time.monotonic()
    migrate(data / "z4j.db", is_copied=False)
    print(f"    {earlier.name} migrated to schema {newest()} in {time.monotonic() - began:.1f} s")


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
        for table in ("original", "run", "error_task", "task_link", "search_change"):
            db.execute(f"DELETE FROM {table} WHERE task > ?", (tasks,))
        db.execute("DELETE FROM task WHERE id > ?", (tasks,))
        db.execute("UPDATE search_position SET task = ? WHERE key = 'to'", (tasks,))
        db.execute("DELETE FROM counter")
        db.execute("INSERT INTO counter SELECT * FROM counter_of_base")
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _origin(boot: str, role: str, worker: str, release: str, at: int) -> bytes:
    facts = {
        "host": worker or "web1", "pid": 1, "role": role, "worker": worker, "app": "", "environment": "production", "release": release,
        "engines": {}, "redaction": RULES,
    }  # fmt: skip
    return wire.encode_record(["origin", boot, at, facts])


def _template(path: Path, at: int) -> None:
    """A task that succeeded, one that failed and one that waits, as the server stores them, and the processes of the day."""
    with closing(open_writer(path)) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO app (name, created_at) VALUES ('shop', 0)")
        batch = _origin("producer", "producer", "", "r3", at)
        for release in range(RELEASES):
            began = at + release * SPAN_US // RELEASES
            batch += b"".join(
                _origin(f"worker{number}-{release}", "worker", f"worker{number}@shop", f"2026.11.{release + 1}", began)
                for number in range(WORKERS)
            )
        for number, end in enumerate(("succeeded", "failed", "")):
            head, tail = ["celery", f"template-{number}", 0], [NAMES[0], QUEUES[0]]
            times = [at + 900, at + 2_000, 7_000]
            args = ["payload", *head, at, "producer.7", *tail, 2, '[12345, "order"] {"retry": false}', False, None, "none"]
            records: list[list[object]] = [["enqueued", *head, at, "producer.7", *tail, None, {"code": "shop/views.py:31"}], args]
            last: list[object] = [end, *head, at + 9_000, "worker0-0.8", *tail, *times]
            if end:
                records.append([*last, '{"ok": true}', None] if end == "succeeded" else [*last, *FAILURE, None])
            batch += b"".join(map(wire.encode_record, records))
        done = apply_batch(db, 1, batch, at + SPAN_US)
        assert done.tasks == 3, done
        assert [row[0] for row in db.execute("SELECT state FROM task ORDER BY id")] == [12, 11, 2]
        for kind, texts in (("name", NAMES), ("queue", QUEUES)):
            for text in texts:
                names.intern(db, kind, text)
        db.execute("COMMIT")


ARGS: Final = """'[' || s.n || ', "order"] {"user_id": ' || (s.n * 7919 % 20000) || ', "email": "customer' || (s.n * 104729 % 200000)
  || '@example.org", "region": "' || iif(s.n % 3, 'eu', 'us') || '"}'"""
WAITED: Final = "((300 + s.n * 31 % 900) << (name_of.n % 5))"
RAN: Final = "((900 + s.n * 7919 % 1900) << (name_of.n % 9))"
"""In microseconds. A task name has its own durations, the longest three times the shortest."""


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
        db.execute("CREATE TEMP TABLE worker_of (n INTEGER PRIMARY KEY, id, worker_id)")
        db.execute("INSERT INTO worker_of SELECT row_number() OVER (ORDER BY id) - 1, id, worker_id FROM boot WHERE role = 'worker'")
        db.execute("CREATE TEMP TABLE template AS SELECT * FROM task ORDER BY id")
        for name in ("task", "run", "counter", "error_task", "error_place", "error_hour", "error_fingerprint", "error_group"):
            db.execute(f"DELETE FROM {name}")
        enqueued, started = f"t.first_at + s.n * {step}", f"t.first_at + s.n * {step} + {WAITED}"
        told = {
            "id": "s.n", "task_id": "randomblob(16)", "name_id": "name_of.id", "queue_id": "queue_of.id", "args": ARGS,
            "worker_id": "iif(t.worker_id, w.worker_id, 0)", "boot_id": "iif(t.worker_id, w.id, t.boot_id)",
            "runtime_us": f"iif(t.worker_id, {RAN}, NULL)", "first_at": enqueued, "enqueued_at": enqueued,
            "last_at": f"iif(t.worker_id, {started} + {RAN}, {enqueued})", "state_at": f"iif(t.worker_id, {started} + {RAN}, {enqueued})",
            "received_at": f"iif(t.worker_id, {enqueued} + 200, NULL)", "started_at": f"iif(t.worker_id, {started}, NULL)",
            "error_type": f"iif(t.error_type IS NULL, NULL, {ERROR_TYPE})", "error": f"iif(t.error IS NULL, NULL, {ERROR})",
        }  # fmt: skip
        failed = f"CASE WHEN s.n % {len(NAMES)} = {RARE} THEN s.n % {RARELY} = {RARE} ELSE s.n / {len(NAMES)} % {FAILS} = 0 END"
        db.execute("BEGIN")
        db.execute(f"""
            WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {tasks})
            INSERT INTO task ({", ".join(columns)})
            SELECT {", ".join(told.get(column, f"t.{column}") for column in columns)}
            FROM s CROSS JOIN name_of ON name_of.n = s.n % {len(NAMES)} CROSS JOIN queue_of ON queue_of.n = name_of.n % {len(QUEUES)}
              CROSS JOIN worker_of AS w
                ON w.n = s.n / {len(NAMES)} % {WORKERS} + {WORKERS} * min(s.n * {RELEASES} / {tasks}, {RELEASES - 1})
              CROSS JOIN template AS t ON t.id = iif(s.n > {tasks - WAITING}, 3, 1 + ({failed}))
        """)
        _statistics(db)
        db.execute("COMMIT")
        for _, statement in indexes:
            db.execute(statement)
        fill(path, db, tasks)
        db.execute("PRAGMA journal_mode = WAL")


def _statistics(db: sqlite3.Connection) -> None:
    place = "app_id, environment_id, engine_id, queue_id, name_id, state"
    db.execute(f"INSERT INTO counter SELECT {place}, count(*) FROM task GROUP BY {place}")
    db.execute("CREATE TABLE counter_of_base AS SELECT * FROM counter")
    _rollups(db)


MOMENTS: Final = {
    "enqueued_at": ("0", "'enqueued'", "0", "0", "0", "0", "NULL"),
    "started_at": (
        "b.release_id", "'started'", "0", "0", "1", "started_at - enqueued_at", f"{WAITS} + bucket_of(max(started_at - enqueued_at, 0))",
    ),
    "state_at": (
        "b.release_id", "CASE state WHEN 12 THEN 'succeeded' ELSE 'failed' END", "1", "runtime_us", "0", "0", "bucket_of(runtime_us)",
    ),
}  # fmt: skip
"""By the column of its time, what a task adds: release, sum, how many ran, for how long, how many waited, for how long, bucket."""


def _rollups(db: sqlite3.Connection) -> None:
    """Sums and histograms of all tasks, as the server would have kept them."""
    db.create_function("bucket_of", 1, lru_cache(1 << 17)(bucket_of), deterministic=True)
    db.execute("UPDATE boot SET counted_release_id = coalesce(release_id, 0)")
    place = "app_id, environment_id, engine_id, name_id, queue_id"
    db.execute(f"CREATE TEMP TABLE moment (at, {place}, release_id, adds, ran, ran_us, waited, waited_us, bucket, tasks)")
    for column, (release, adds, ran, ran_us, waited, waited_us, bucket) in MOMENTS.items():
        ended = "WHERE t.runtime_us IS NOT NULL" if column != "enqueued_at" else ""
        db.execute(f"""
            INSERT INTO moment SELECT t.{column} / {MINUTE_US} * {MINUTE_US}, {", ".join(f"t.{name}" for name in place.split(", "))},
              {release}, {adds}, sum({ran}), sum({ran_us}), sum({waited}), sum({waited_us}), {bucket}, count(*)
            FROM task AS t LEFT JOIN boot AS b ON b.id = t.boot_id {ended} GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 13""")
    for name in ("series", "rollup", "rollup_bucket", "worker_rollup"):
        db.execute(f"DELETE FROM {name}")
    db.execute(f"INSERT INTO series (is_total, {place}, release_id) SELECT DISTINCT 0, {place}, release_id FROM moment")
    db.execute(
        f"INSERT INTO series (is_total, {place}, release_id) SELECT DISTINCT 1, app_id, environment_id, engine_id, 0, 0, 0 FROM moment"
    )
    own = " AND ".join(f"s.{name} = m.{name}" for name in (*place.split(", "), "release_id"))
    whole = "s.app_id = m.app_id AND s.environment_id = m.environment_id AND s.engine_id = m.engine_id"
    for joined in (f"s.is_total = 0 AND {own}", f"s.is_total = 1 AND {whole}"):
        for step, length in enumerate(STEP_US):
            at = f"m.at / {length} * {length}"
            sums = {name: f"sum(m.tasks * (m.adds = '{name}'))" for name in COLUMNS}
            sums |= {name: f"sum(m.{name})" for name in ("ran", "ran_us", "waited", "waited_us")}
            db.execute(f"""
                INSERT INTO rollup SELECT {step}, {at}, s.id, {", ".join(sums[name] for name in COLUMNS)}
                FROM moment AS m JOIN series AS s ON {joined} GROUP BY 2, 3""")
            db.execute(f"""
                INSERT INTO rollup_bucket SELECT {step}, {at}, s.id, m.bucket, sum(m.tasks)
                FROM moment AS m JOIN series AS s ON {joined} WHERE m.bucket IS NOT NULL GROUP BY 2, 3, 4""")
    for step, length in enumerate(STEP_US):
        db.execute(f"""
            INSERT INTO worker_rollup SELECT {step}, state_at / {length} * {length}, app_id, worker_id, count(*), sum(state = 11),
              sum(runtime_us) FROM task WHERE runtime_us IS NOT NULL GROUP BY 2, 3, 4""")
    db.execute("INSERT OR REPLACE INTO setting (key, value) SELECT 'rolled_until', CAST(max(at) + 60000000 AS TEXT) FROM moment")
    db.execute("DROP TABLE moment")
    for name in ("rollup", "rollup_bucket", "worker_rollup"):
        columns = ", ".join(row[1] for row in db.execute(f"PRAGMA table_info({name})") if row[1] != "at")
        values = columns.replace("step, ", "")
        for days in range(1, DAYS_BEFORE + 1):
            db.execute(f"""
                INSERT OR IGNORE INTO {name} (step, at, {values}) SELECT step, at - {days * SPAN_US}, {values} FROM {name}
                WHERE step >= {0 if days == 1 else 1} AND at > (SELECT max(at) FROM rollup WHERE step = 0) - {SPAN_US + 3_600_000_000}""")


if __name__ == "__main__":
    began = time.monotonic()
    data = database(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000)
    print(f"{data}: {(data / 'z4j.db').stat().st_size / 1e9:.1f} GB after {time.monotonic() - began:.0f} s")
