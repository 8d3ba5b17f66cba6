# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the server does with a batch, without any network: decode, fold, join, write, commit.

Prints events per second in the shape of life and of whole lives, beside the bare upsert of the same rows, and the bytes per finished task
with its original. With `--profile`, where the time of the writer's thread goes.

    python -m bench.ingest_raw [tasks] [tasks in the database before]
"""

from __future__ import annotations

import asyncio
import cProfile
import pstats
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from bench.large_database import database, forget_news
from bench.traffic import EVENTS_PER_TASK, PRODUCER, WORKER, in_life, origin, whole_lives
from bench.upsert import newest_task, upsert_events_per_s
from z4j import clock
from z4j.agents.ingest import ingest_batch
from z4j.store.sqlite import writer
from z4j.store.sqlite.db import Store
from z4j.store.sqlite.migrate import migrate

IN_FLIGHT = 8


def batches(tasks: int, shape: str) -> list[bytes]:
    if shape == "life":
        return [batch for _, batch in in_life(tasks, clock.now(), PRODUCER, WORKER)]
    return list(whole_lives(tasks, clock.now(), WORKER, 1))


async def ingest(path: Path, prepared: list[bytes], tasks: int) -> tuple[float, float]:
    """Events per second of `ingest_batch`, and µs of processor time per task."""
    at = clock.now()
    store = Store(path)
    await store.start()
    await ingest_batch(store, 1, origin(PRODUCER, PRODUCER, at) + origin(WORKER, WORKER, at), at=at)
    began, used = time.perf_counter(), time.process_time()
    # As many in flight as an agent may have.
    for start in range(0, len(prepared), IN_FLIGHT):
        await asyncio.gather(*(ingest_batch(store, 1, batch, at=clock.now()) for batch in prepared[start : start + IN_FLIGHT]))
    took, used = time.perf_counter() - began, time.process_time() - used
    await store.close()
    return tasks * EVENTS_PER_TASK / took, used / tasks * 1e6


def profiled(path: Path, prepared: list[bytes], tasks: int) -> None:
    """The same under cProfile, in the thread of the writer."""
    profile = cProfile.Profile()
    commit = writer.Writer.commit

    def commit_profiled(self: writer.Writer, *args: object) -> None:
        profile.runcall(commit, self, *args)  # type: ignore[arg-type]

    writer.Writer.commit = commit_profiled  # type: ignore[method-assign, assignment]
    try:
        asyncio.run(ingest(path, prepared, tasks))
    finally:
        writer.Writer.commit = commit  # type: ignore[method-assign]
    pstats.Stats(profile).sort_stats("tottime").print_stats(40)


def bytes_per_task(path: Path, tasks: int) -> dict[str, float]:
    with closing(sqlite3.connect(path)) as db:
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
    is_profiled = "--profile" in sys.argv
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    tasks, before = (*numbers, 20_000, 0)[:2] if len(numbers) != 1 else (numbers[0], 0)
    for shape in ("life", "whole"):
        with tempfile.TemporaryDirectory() as folder:
            path = database(before) / "z4j.db" if before else Path(folder) / "z4j.db"
            if not before:
                migrate(path)
                with closing(sqlite3.connect(path)) as db, db:
                    db.execute("INSERT INTO app (name, created_at) VALUES ('shop', 0)")
            first = newest_task(path)
            prepared = batches(tasks, shape)
            if is_profiled:
                profiled(path, prepared, tasks)
                ours, used = 0.0, 0.0
            else:
                ours, used = asyncio.run(ingest(path, prepared, tasks))
            raw = upsert_events_per_s(path, first)
            print(
                f"{shape}: ingest {ours:,.0f} events/s, {used:.1f} µs of CPU per task; bare upsert {raw:,.0f}, ratio {ours / raw:.2f}",
                flush=True,
            )
            if before:
                forget_news(path, before)
            elif shape == "whole":
                for name, size in bytes_per_task(path, tasks).items():
                    print(f"{size:8.1f} bytes per task  {name}")


if __name__ == "__main__":
    main()
