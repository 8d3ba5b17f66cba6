# SPDX-License-Identifier: AGPL-3.0-or-later
"""Task pages over one and ten million tasks of a day (`bench.large_database`), by kind, while nothing is written.

The time is the access log's own, so the client costs nothing. A page that stopped at its deadline is an answer, but not a complete one: the
share of complete answers and the rows found are reported with the time. Not measured: the browser, several readers at once, ingest beside
them, a database that the page cache does not hold.
"""

from __future__ import annotations

import re
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from bench.large_database import RARE, database
from bench.measure import percentile
from bench.traffic import NAMES, QUEUES, in_life, origin
from tests.support.browserless import Person
from tests.support.stack import Stack, stack
from tests.support.wire_client import WireClient, now
from z4j_agent import wire

REQUESTS: Final = 100
"""Of each kind."""
SIZED: Final = 60_000
"""Tasks that are sent to an empty database to see how many bytes each takes."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Pages of one kind: what was measured of each request."""

    ms: list[float]
    is_complete: list[bool]
    rows: list[int]


Path_of = Callable[[Random, "Span"], str]


@dataclass(frozen=True, slots=True)
class Span:
    """What the database holds: the times of the first and last task, and some task ids."""

    first: int
    last: int
    ids: list[str]


def _pair(name: int) -> str:
    return f"/tasks?queue={QUEUES[name % len(QUEUES)]}&name={NAMES[name]}"


def _deep(chance: Random, span: Span) -> str:
    return f"older={chance.randrange(span.first + (span.last - span.first) // 20, span.last)}-0"


KINDS: Final[dict[str, Path_of]] = {
    "newest": lambda chance, span: "/tasks",
    "deep": lambda chance, span: f"/tasks?{_deep(chance, span)}",
    "state": lambda chance, span: "/tasks?state=failed",
    "name": lambda chance, span: f"/tasks?name={chance.choice(NAMES)}",
    "name_deep": lambda chance, span: f"/tasks?name={chance.choice(NAMES)}&{_deep(chance, span)}",
    "pair": lambda chance, span: _pair(chance.randrange(len(NAMES))),
    "name_failed": lambda chance, span: f"/tasks?name={chance.choice(NAMES[:RARE])}&state=failed",
    "rare": lambda chance, span: f"/tasks?name={NAMES[RARE]}&state=failed",
    "rare_deep": lambda chance, span: f"/tasks?name={NAMES[RARE]}&state=failed&{_deep(chance, span)}",
    "task_id": lambda chance, span: f"/tasks?q={chance.choice(span.ids)}",
}
LISTS: Final = ("newest", "deep", "state", "name", "name_deep", "pair", "name_failed", "task_id")
SEARCHES: Final = ("rare", "rare_deep")
"""Few tasks match, so that these end at the deadline."""


@contextmanager
def running(tasks: int) -> Iterator[tuple[Stack, Span]]:
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder), is_fresh=True) as made:
        made.data.symlink_to(database(tasks))
        made.start_server()
        with closing(sqlite3.connect(f"file:{made.data / 'z4j.db'}?mode=ro", uri=True)) as db:
            first, last = db.execute("SELECT min(first_at), max(first_at) FROM task").fetchone()
            chance = Random(1)
            wanted = [chance.randrange(1, tasks) for _ in range(REQUESTS)]
            ids = [db.execute("SELECT hex(task_id) FROM task WHERE id = ?", (id,)).fetchone()[0].lower() for id in wanted]
        yield made, Span(first, last, [f"{id[:8]}-{id[8:12]}-{id[12:16]}-{id[16:20]}-{id[20:]}" for id in ids])


def logged_ms(made: Stack) -> list[float]:
    """Durations of task pages in the access log, in order; not those that only lead to another."""
    lines = (made.folder / "server.log").read_text().splitlines()
    return [float(found[1]) for line in lines if (found := re.search(r"path=/tasks\b.*?\bstatus=200\b.*?\bms=([\d.]+)", line))]


def ask(made: Stack, person: Person, span: Span) -> dict[str, Kind]:
    """All kinds in turns."""
    chance, kinds = Random(2), {name: Kind([], [], []) for name in KINDS}
    for path_of in KINDS.values():
        person.get(path_of(chance, span))
    time.sleep(0.5)  # a line is logged after its answer was read
    seen = len(logged_ms(made))
    for _ in range(REQUESTS):
        for name, path_of in KINDS.items():
            text = person.get(path_of(chance, span)).text
            kinds[name].is_complete.append("earched back to" not in text)
            kinds[name].rows.append(len(set(re.findall(r'href="/tasks/(\d+)', text))))
    time.sleep(0.5)
    times = logged_ms(made)[seen:]
    assert len(times) == REQUESTS * len(KINDS), f"{len(times)} durations"
    for number, ms in enumerate(times):
        kinds[list(KINDS)[number % len(KINDS)]].ms.append(ms)
    return kinds


def figures(tasks: int, size: str) -> dict[str, float]:
    """Of all kinds together, and of each."""
    with running(tasks) as (made, span):
        kinds = ask(made, Person.sign_in(made, f"bench{time.time_ns()}"), span)
    print(f"    {tasks:,} tasks: kind, p50 ms, p99 ms, complete, rows (median)")
    found: dict[str, float] = {}
    for name, kind in kinds.items():
        complete, rows = sum(kind.is_complete) / REQUESTS, statistics.median(kind.rows)
        print(f"    {name:12} {percentile(kind.ms, 0.5):6.1f} {percentile(kind.ms, 0.99):6.1f} {complete:6.0%} {rows:6.0f}", flush=True)
        found |= {
            f"page_{name}_p50_ms_{size}": percentile(kind.ms, 0.5),
            f"page_{name}_p99_ms_{size}": percentile(kind.ms, 0.99),
            f"page_{name}_complete_{size}": complete,
            f"page_{name}_rows_{size}": rows,
        }
    found[f"list_p99_ms_{size}"] = max(percentile(kinds[name].ms, 0.99) for name in LISTS)
    found[f"search_p99_ms_{size}"] = max(percentile(kinds[name].ms, 0.99) for name in SEARCHES)
    found[f"list_complete_{size}"] = min(sum(kinds[name].is_complete) / REQUESTS for name in LISTS)
    found[f"search_rows_{size}"] = min(statistics.mean(kinds[name].rows) for name in SEARCHES)
    return found


def bytes_per_task() -> float:
    """Of finished small tasks with their originals, sent in the shape of life."""
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder), is_fresh=True) as made:
        made.command("migrate")
        made.add_app()
        made.start_server()
        with WireClient(made.url) as client:
            client.send_and_wait(origin("producer", "producer", now()) + origin("worker", "worker", now()))
            acked = client.seq
            for _, batch in in_life(SIZED, now() // 60_000_000 * 60_000_000, "producer", "worker"):
                sent = client.send(batch)
                while sent - acked >= wire.WINDOW:
                    acked = client.hear(60)["seq"]
            while acked < client.seq:
                acked = client.hear(60)["seq"]
        made.children[-1].end()
        with closing(sqlite3.connect(made.data / "z4j.db")) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return (made.data / "z4j.db").stat().st_size / SIZED


def measure() -> dict[str, float]:
    return {"bytes_per_task": bytes_per_task(), **figures(1_000_000, "1m"), **figures(10_000_000, "10m")}
