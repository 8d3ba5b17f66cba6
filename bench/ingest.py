# SPDX-License-Identifier: AGPL-3.0-or-later
"""How fast events are committed and acked, beside what SQLite alone can do with the same rows on the same disk."""

from __future__ import annotations

import multiprocessing
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bench.measure import resident_mb
from tests.support.stack import Stack, stack
from tests.support.wire_client import WireClient, life, now
from z4j_agent import wire

EVENTS_PER_TASK = 5
TASKS_PER_BATCH = 150


def batches(boot: str, first: int, tasks: int) -> Iterator[bytes]:
    for start in range(first, first + tasks, TASKS_PER_BATCH):
        at = now() - 60_000_000
        numbers = range(start, min(start + TASKS_PER_BATCH, first + tasks))
        yield b"".join(life(boot, number, at + number - first) for number in numbers)


def send(url: str, first: int, tasks: int, ready: object, go: object) -> None:
    """One connection with a full window; everything is encoded before the clock starts."""
    with WireClient(url) as client:
        client.send_and_wait(client.origin())
        prepared = list(batches(client.boot, first, tasks))
        ready.release()  # type: ignore[attr-defined]
        go.wait()  # type: ignore[attr-defined]
        acked = client.seq
        for batch in prepared:
            sent = client.send(batch)
            while sent - acked >= wire.WINDOW:
                acked = client.hear(60)["seq"]
        while acked < client.seq:
            acked = client.hear(60)["seq"]


def events_per_second(url: str, connections: int, tasks: int, first: int) -> float:
    context = multiprocessing.get_context("spawn")
    ready, go = context.Semaphore(0), context.Event()
    share = tasks // connections
    senders = [context.Process(target=send, args=(url, first + number * share, share, ready, go)) for number in range(connections)]
    for sender in senders:
        sender.start()
    for _ in senders:
        ready.acquire()
    began = time.monotonic()
    go.set()
    for sender in senders:
        sender.join()
        assert sender.exitcode == 0
    return tasks * EVENTS_PER_TASK / (time.monotonic() - began)


def raw_events_per_second(source: Path, folder: Path) -> float:
    """The rows the server just wrote, upserted in transactions of one batch by a bare executemany into the same schema."""
    with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as db:
        rows = db.execute("SELECT * FROM task").fetchall()
        names = [row[1] for row in db.execute("PRAGMA table_info(task)")]
        schema = [row[0] for row in db.execute("SELECT sql FROM sqlite_master WHERE tbl_name = 'task' AND sql IS NOT NULL")]
    with closing(sqlite3.connect(folder / "raw.db", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        for statement in schema:
            db.execute(statement)
        updates = ", ".join(f"{name} = excluded.{name}" for name in names if name != "id")
        conflict = f"ON CONFLICT (task_id, app_id, engine_id, life) DO UPDATE SET {updates}"
        upsert = f"INSERT INTO task VALUES ({', '.join('?' * len(names))}) {conflict}"
        began = time.monotonic()
        for start in range(0, len(rows), TASKS_PER_BATCH):
            db.execute("BEGIN IMMEDIATE")
            db.executemany(upsert, rows[start : start + TASKS_PER_BATCH])
            db.execute("COMMIT")
        return len(rows) * EVENTS_PER_TASK / (time.monotonic() - began)


def peak_of(made: Stack, peaks: list[float], stop: threading.Event) -> None:
    while not stop.wait(0.2):
        peaks.append(resident_mb(made.children[-1].process.pid))


def measure(tasks: int = 24_000, rounds: int = 3) -> dict[str, float]:
    figures: dict[str, list[float]] = {"one": [], "eight": [], "raw": []}
    peaks: list[float] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder, stack(Path(folder), is_fresh=True) as made:
            made.command("migrate")
            made.add_app()
            made.start_server()
            stop = threading.Event()
            watcher = threading.Thread(target=peak_of, args=(made, peaks, stop))
            watcher.start()
            figures["one"].append(events_per_second(made.url, 1, tasks, 1))
            figures["raw"].append(raw_events_per_second(made.data / "z4j.db", Path(folder)))
            figures["eight"].append(events_per_second(made.url, 8, tasks, 10**7))
            stop.set()
            watcher.join()
    ratios = [one / raw for one, raw in zip(figures["one"], figures["raw"], strict=True)]
    eight = [many / one for many, one in zip(figures["eight"], figures["one"], strict=True)]
    return {
        "ingest_events_per_s": statistics.median(figures["one"]),
        "ingest_ratio_to_raw": statistics.median(ratios),
        "ingest_8conn_ratio_to_1conn": statistics.median(eight),
        "loaded_rss_mb": max(peaks),
    }
