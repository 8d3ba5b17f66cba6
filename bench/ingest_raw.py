# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the server does with a batch, without any network: decode, fold, join, write, commit.

Beside it, the machine's own yardstick: the same finished rows, with the same indexes, by one bare `executemany` upsert.
Prints events per second of both, their ratio, and bytes per finished task with its original.

    python -m bench.ingest_raw [tasks]
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import tempfile
import time
import uuid
from pathlib import Path

from z4j import clock
from z4j.agents.ingest import ingest_batch
from z4j.store.sqlite.db import Store
from z4j.store.sqlite.migrate import migrate
from z4j_agent.wire import encode_record

NAMES = [f"shop.orders.{verb}" for verb in ("charge", "refund", "ship", "mail", "index", "price", "sync", "export")]
BATCH = 250


def batches(tasks: int, at: int) -> list[bytes]:
    """Four events a task and its original, as a producer and a prefork worker tell them."""
    original = os.urandom(150)
    import base64

    text = base64.b64encode(original).decode()
    made, batch = [], bytearray()
    for index in range(tasks):
        first = at - (tasks - index) * 1_000
        head = ["celery", str(uuid.uuid4()), 0]
        tail = [NAMES[index % 8], f"queue{index % 3}"]
        run, worker = "0123456789abcdef.4711", f"fedcba9876543210.{4712 + index % 2}"
        for record in (
            ["enqueued", *head, first, run, *tail, None, {"code": "shop/views.py:31"}],
            ["payload", *head, first + 5, run, *tail, 2, f'[{index}, "a"]', False, [None, text], "plain"],
            ["received", *head, first + 900, worker, *tail, None, None],
            ["started", *head, first + 1_200, worker, *tail, None],
            ["succeeded", *head, first + 9_000, worker, *tail, first + 900, first + 1_200, 7_800, "None", None],
        ):
            batch += encode_record(record)
        if index % BATCH == BATCH - 1:
            made.append(bytes(batch))
            batch.clear()
    if batch:
        made.append(bytes(batch))
    return made


def origins(at: int) -> bytes:
    facts = {"host": "host", "pid": 1, "environment": "production", "release": "1.0"}
    return encode_record(["origin", "0123456789abcdef", at, {**facts, "role": "producer"}]) + encode_record(
        ["origin", "fedcba9876543210", at, {**facts, "role": "worker", "worker": "celery@host"}]
    )


async def ingest(path: Path, tasks: int) -> float:
    """Events per second of `ingest_batch`."""
    at = clock.now()
    prepared = batches(tasks, at)
    store = Store(path)
    await store.start()
    await store.write(lambda db: db.execute("INSERT INTO app (name, created_at) VALUES ('shop', 0)"))
    await ingest_batch(store, 1, origins(at), at=at)
    began = time.perf_counter()
    # As many in flight as an agent may have.
    for start in range(0, len(prepared), 4):
        await asyncio.gather(*(ingest_batch(store, 1, batch, at=at) for batch in prepared[start : start + 4]))
    took = time.perf_counter() - began
    await store.close()
    return tasks * 5 / took


def upsert(source: Path, target: Path) -> float:
    """Events per second of writing the finished rows of `source` with one upsert each, nothing else."""
    with sqlite3.connect(source) as db:
        rows = db.execute("SELECT * FROM task").fetchall()
        columns = [row[1] for row in db.execute("PRAGMA table_info(task)")]
        originals = db.execute("SELECT * FROM original").fetchall()
    migrate(target)
    db = sqlite3.connect(target, isolation_level=None)
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA cache_size = -65536")
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns if column != "id")
    marks = ", ".join("?" * len(columns))
    statement = f"INSERT INTO task VALUES ({marks}) ON CONFLICT (task_id, app_id, engine_id, life) DO UPDATE SET {changes}"
    began = time.perf_counter()
    for start in range(0, len(rows), BATCH):
        db.execute("BEGIN IMMEDIATE")
        db.executemany(statement, rows[start : start + BATCH])
        db.executemany("INSERT INTO original VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", originals[start : start + BATCH])
        db.execute("COMMIT")
    took = time.perf_counter() - began
    db.close()
    return len(rows) * 5 / took


def bytes_per_task(path: Path, tasks: int) -> dict[str, float]:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        used = {"all": db.execute("PRAGMA page_count").fetchone()[0] * 4096 / tasks}
        try:
            used |= {
                name: size / tasks
                for name, size in db.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC LIMIT 12")
            }
        except sqlite3.OperationalError:
            pass
    return used


def main() -> None:
    tasks = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "z4j.db"
        migrate(path)
        ours = asyncio.run(ingest(path, tasks))
        raw = upsert(path, Path(folder) / "raw.db")
        print(f"ingest {ours:,.0f} events/s, bare upsert {raw:,.0f} events/s, ratio {ours / raw:.2f}")
        for name, size in bytes_per_task(path, tasks).items():
            print(f"{size:8.1f} bytes per task  {name}")


if __name__ == "__main__":
    main()
