# SPDX-License-Identifier: AGPL-3.0-or-later
"""How fast events are committed and acked, beside what SQLite alone can do with the same rows on the same disk.

In the shape of life (`bench.traffic`), into an empty database and into one of ten million tasks (`bench.large_database`); for comparison
the easiest case, which was all that was measured before. Clients and server share two cores; everything is encoded before the clock starts.
Not measured: TLS, several apps, retries and failures, reused IDs, texts longer than a line, a database that the page cache does not hold.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.large_database import database, forget_news
from bench.measure import resident_mb
from bench.traffic import EVENTS_PER_TASK, PRODUCER, WORKER, in_life, origin, whole_lives
from bench.upsert import newest_task, tasks_after, upsert_events_per_s
from tests.support.stack import Stack, stack
from tests.support.wire_client import WireClient, now
from z4j_agent import wire

TASKS: Final = 24_000
LARGE: Final = 10_000_000
ROUNDS: Final = 3


def batches(role: str, tasks: int, seed: int) -> Iterator[bytes]:
    """What one connection sends: everything of an app, or what its producer or its worker tells."""
    if role == "whole":
        yield from whole_lives(tasks, now() - 60_000_000, WORKER, seed)
        return
    # Seeds of one app give the same tokens; the times are those of the last minute.
    for sender, batch in in_life(tasks, now() // 60_000_000 * 60_000_000, f"{PRODUCER}{seed}", f"{WORKER}{seed}", seed):
        if role in ("both", sender):
            yield batch


def send(url: str, role: str, tasks: int, seed: int, ready: object, go: object) -> None:
    """One connection with a full window."""
    with WireClient(url) as client:
        client.send_and_wait(b"".join(origin(f"{boot}{seed}", boot, now()) for boot in (PRODUCER, WORKER)) + origin(WORKER, WORKER, now()))
        prepared = list(batches(role, tasks, seed))
        ready.release()  # type: ignore[attr-defined]
        go.wait()  # type: ignore[attr-defined]
        acked = client.seq
        for batch in prepared:
            sent = client.send(batch)
            while sent - acked >= wire.WINDOW:
                acked = client.hear(60)["seq"]
        while acked < client.seq:
            acked = client.hear(60)["seq"]


def events_per_s(url: str, roles: list[str], tasks: int) -> float:
    """One connection for each role. A producer and the worker after it tell of the same tasks, another pair of others."""
    context = multiprocessing.get_context("spawn")
    ready, go = context.Semaphore(0), context.Event()
    apps = len(roles) - roles.count(WORKER)
    first = int.from_bytes(os.urandom(4))
    senders = [
        context.Process(target=send, args=(url, role, tasks // apps, first + number // (2 if WORKER in roles else 1), ready, go))
        for number, role in enumerate(roles)
    ]
    for sender in senders:
        sender.start()
    for _ in senders:
        ready.acquire()
    began = time.monotonic()
    go.set()
    for sender in senders:
        sender.join()
        assert sender.exitcode == 0
    return tasks // apps * apps * EVENTS_PER_TASK / (time.monotonic() - began)


ONE: Final = ["both"]
EIGHT: Final = [PRODUCER, WORKER] * 4
WHOLE: Final = ["whole"]


@contextmanager
def running(before: int, peaks: list[float]) -> Iterator[tuple[Stack, Path]]:
    """A server on a database of so many tasks, with its peak of memory."""
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder), is_fresh=True) as made:
        if before:
            made.data.symlink_to(database(before))
        else:
            made.command("migrate")
        made.add_app()
        made.start_server()
        stop = threading.Event()
        watcher = threading.Thread(target=_watch, args=(made, peaks, stop))
        watcher.start()
        try:
            yield made, made.data / "z4j.db"
        finally:
            stop.set()
            watcher.join()
            made.end()
            if before:
                forget_news(made.data / "z4j.db", before)


def _watch(made: Stack, peaks: list[float], stop: threading.Event) -> None:
    while not stop.wait(0.2) and made.children[-1].process.poll() is None:
        with contextlib.suppress(StopIteration, FileNotFoundError):  # it has just ended
            peaks.append(resident_mb(made.children[-1].process.pid))


def arm(before: int, roles: list[str], peaks: list[float]) -> tuple[float, float]:
    """Events per second of the server, and of the bare upsert of the rows it wrote, one after the other on the same database."""
    with running(before, peaks) as (made, path):
        first = newest_task(path)
        ours = events_per_s(made.url, roles, TASKS)
        made.children[-1].end()
        rows = tasks_after(path, first)
        assert rows == TASKS, f"{rows} rows of {TASKS} tasks"
        return ours, upsert_events_per_s(path, first)


def measure() -> dict[str, float]:
    found: dict[str, list[tuple[float, float]]] = {}
    peaks: list[float] = []
    arms: dict[str, Callable[[], tuple[float, float]]] = {
        "whole": lambda: arm(0, WHOLE, peaks),
        "empty": lambda: arm(0, ONE, peaks),
        "one": lambda: arm(LARGE, ONE, peaks),
        "eight": lambda: arm(LARGE, EIGHT, peaks),
    }
    database(LARGE)
    for _ in range(ROUNDS):
        for name, run in arms.items():
            found.setdefault(name, []).append(run())
            print(f"    {name}: {found[name][-1][0]:,.0f} events/s, bare upsert {found[name][-1][1]:,.0f}", flush=True)

    def rate(name: str) -> float:
        return statistics.median(ours for ours, _ in found[name])

    def ratio(name: str) -> float:
        return statistics.median(ours / raw for ours, raw in found[name])

    return {
        "ingest_events_per_s": rate("one"),
        "ingest_ratio_to_raw": ratio("one"),
        "ingest_8conn_ratio_to_1conn": statistics.median(
            many / one for (many, _), (one, _) in zip(found["eight"], found["one"], strict=True)
        ),
        "ingest_empty_events_per_s": rate("empty"),
        "ingest_empty_ratio_to_raw": ratio("empty"),
        "ingest_whole_events_per_s": rate("whole"),
        "ingest_whole_ratio_to_raw": ratio("whole"),
        "loaded_rss_mb": max(peaks),
    }
