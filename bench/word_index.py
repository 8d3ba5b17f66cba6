# SPDX-License-Identifier: AGPL-3.0-or-later
"""The index of words over a million tasks of a day: how fast a backlog is caught up, how long slices hold the writer, bytes per task, and
how long searches take. Every task has arguments of its own, about 90 characters with four values.

    python -m bench.word_index [tasks]
    python -m bench.word_index live [seconds]    # the lag at 2,000 tasks/s, and what ingest at full speed costs
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Final

from bench.ingest_full import slices_timed
from bench.ingest_raw import IN_FLIGHT
from bench.large_database import database, folder
from bench.traffic import EVENTS_PER_TASK, PRODUCER, WORKER, in_life, origin
from z4j import clock
from z4j.agents.ingest import ingest_batch
from z4j.background.word_index import WordIndexDuty
from z4j.rules.queries.parse import parse
from z4j.store.search import word_index
from z4j.store.sqlite.db import Store
from z4j.store.sqlite.migrate import migrate
from z4j.store.tasks.tasks import TaskFilter, list_tasks

QUERIES: Final = (
    "refunds", "order", "order -eu", "\"no such order\"", "customer77", "custom*", "args.user_id:4711", "args.email:customer12*",
    "args.region:eu order state:failed", "args.region:eu args.user_id:4711", "order eu 7", "neverthere", "ran:>6ms order:ran",
)  # fmt: skip
REPEAT: Final = 40


def _prepare(tasks: int) -> Path:
    data = folder() / f"words-{tasks}"
    shutil.rmtree(data, ignore_errors=True)
    shutil.copytree(database(tasks), data)
    with closing(sqlite3.connect(data / "z4j.db", isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        for (day,) in db.execute("SELECT day FROM search_table").fetchall():
            for block in ("drop_words", "drop_day"):
                db.execute(word_index.of_day(word_index.SQL[block], day))
            db.execute(word_index.SQL["forget_day"], {"day": day})
        db.execute("UPDATE search_position SET task = (SELECT max(id) FROM task) WHERE key = 'to'")
        db.execute("UPDATE search_position SET task = (SELECT max(id) + 1 FROM task) WHERE key = 'from'")
        db.execute("VACUUM")
    return data / "z4j.db"


def _bytes(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        used, free, size = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size"))
    return int((used - free) * size)


async def _measure(path: Path, tasks: int) -> None:
    before = _bytes(path)
    store = Store(path)
    await store.start()
    held: list[float] = []
    duty, began, cpu = WordIndexDuty(store), time.perf_counter(), time.process_time()
    commits: list[float] = []
    with slices_timed(held):
        while (await word_index.positions(store)).back > 1:
            await duty.round(clock.now())
            commits.append(store.commit_s)
    took = time.perf_counter() - began
    held.sort()
    print(f"backlog of {tasks:,}: {tasks / took:,.0f} tasks/s, {(time.process_time() - cpu) / tasks * 1e6:.0f} µs CPU per task")
    p50, p99 = held[len(held) // 2] * 1e3, held[-max(len(held) // 100, 1)] * 1e3
    print(f"a slice holds the writer {p50:.1f} ms at p50, {p99:.1f} at p99; last commits up to {max(commits) * 1e3:.1f} ms")
    await store.checkpoint()
    print(f"{(_bytes(path) - before) / tasks:.0f} bytes per task for words, {before / tasks:.0f} without")
    for text in QUERIES:
        query, times, rows, is_whole = parse(text), [], 0, True
        for _ in range(REPEAT):
            began = time.perf_counter()
            page = await list_tasks(store, TaskFilter(terms=query.terms, order=query.order))
            times.append(time.perf_counter() - began)
            rows, is_whole = len(page.rows), page.searched_to is None
        times.sort()
        p50, end = times[len(times) // 2] * 1e3, "" if is_whole else ", stopped early"
        print(f"{text:40} p50 {p50:6.1f} ms  max {times[-1] * 1e3:6.1f} ms  {rows:3} rows{end}")
    await store.close()


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    migrate(folder / "z4j.db")
    return folder / "z4j.db"


async def _ingest(folder: Path, tasks: int, *, is_indexed: bool, per_s: float | None = None) -> tuple[float, float, int]:
    """(events/s of ingest in the shape of life, greatest lag in seconds, tasks not indexed at its end); at most `per_s` tasks a second."""
    store = Store(_empty(folder))
    await store.start()
    await store.write(lambda db: db.execute("INSERT INTO app (name, created_at) VALUES ('shop', 0)").rowcount)
    at = clock.now()
    await ingest_batch(store, 1, origin(PRODUCER, PRODUCER, at) + origin(WORKER, WORKER, at), at=at)
    duty, lags = WordIndexDuty(store), [0]

    async def index() -> None:
        while True:
            await asyncio.sleep(0.5)
            await duty.round(clock.now())
            lags.append(duty.report.lag_us)

    indexing = asyncio.create_task(index()) if is_indexed else None
    prepared = [batch for _, batch in in_life(tasks, at, PRODUCER, WORKER, 1)]
    began = time.perf_counter()
    for number in range(0, len(prepared), IN_FLIGHT):
        some = prepared[number : number + IN_FLIGHT]
        await asyncio.gather(*(ingest_batch(store, 1, batch, at=clock.now()) for batch in some))
        if per_s is not None:
            await asyncio.sleep(max((number + len(some)) / len(prepared) * tasks / per_s - (time.perf_counter() - began), 0))
    rate = tasks * EVENTS_PER_TASK / (time.perf_counter() - began)
    places = await word_index.positions(store)
    if indexing is not None:
        indexing.cancel()
    await store.close()
    return rate, max(lags) / 1e6, places.newest - places.to + places.changes


async def _live(seconds: int) -> None:
    work = folder() / "words-live"
    rate, lag, left = await _ingest(work, 2_000 * seconds, is_indexed=True, per_s=2_000)
    print(f"2,000 tasks/s for {seconds} s ({rate:,.0f} events/s): lag up to {lag:.1f} s, {left:,} tasks not indexed at the end")
    rates: dict[bool, list[float]] = {False: [], True: []}
    for number in range(6):
        rate, lag, left = await _ingest(work, 60_000, is_indexed=bool(number % 2))
        rates[bool(number % 2)].append(rate)
    without, indexed = (sorted(rates[key])[1] for key in (False, True))
    ratio = indexed / without
    print(f"full speed: {without:,.0f} events/s without the index, {indexed:,.0f} with it ({ratio:.2f}), {left:,} tasks left to index")


if __name__ == "__main__":
    if sys.argv[1:2] == ["live"]:
        asyncio.run(_live(int(sys.argv[2]) if len(sys.argv) > 2 else 60))
        sys.exit()
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    asyncio.run(_measure(_prepare(count), count))
