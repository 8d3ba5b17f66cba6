# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every page (`bench.page_kinds`) over one and ten million tasks of a day (`bench.large_database`), while nothing is written. The clock of
the server stands a moment after the last task.

The time is the access log's own, so the client costs nothing; the processor time is that of all threads of the server. A page that stopped
at its deadline is an answer, but not a complete one: the share of complete answers and the rows found are reported with the time. The
statements of a page are counted apart, in this process. Not measured: the browser, several readers at once, ingest beside them, agents that
are connected, a database that the page cache does not hold.

    python -m bench.pages [--tasks TASKS] [--requests REQUESTS] [KIND …]    # prints, and writes nothing
"""

from __future__ import annotations

import argparse
import re
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from bench.large_database import database
from bench.measure import percentile
from bench.page_kinds import KINDS, Kind, PageFigures, Span, is_complete, rows_in, span_of
from bench.page_reads import count_statements
from bench.traffic import in_life, origin
from bench.turns import processor_s
from tests.support.browserless import Person
from tests.support.stack import SERVER_PYTHON, Stack, stack
from tests.support.wire_client import WireClient, now
from z4j_agent import wire

REQUESTS: Final = 200
"""Of each kind."""
SIZED: Final = 60_000
"""Tasks that are sent to an empty database to see how many bytes each takes."""
AFTER_US: Final = 5_000_000
"""How long after the last task the clock of the server begins."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What was measured of each request of a kind."""

    ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    is_complete: list[bool] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)


@contextmanager
def running(tasks: int) -> Iterator[tuple[Stack, Span]]:
    """A server over a large database, its clock a moment after the last task."""
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder), is_fresh=True) as made:
        made.data.symlink_to(database(tasks))
        with closing(sqlite3.connect(f"file:{made.data / 'z4j.db'}?mode=ro", uri=True)) as db:
            span = span_of(db, tasks)
        made.variables |= {
            "Z4J_BENCH_MOVED_US": str(span.last + AFTER_US - now()),
            "Z4J_BACKUPS_DAILY": "0",  # it would begin with one
            "Z4J_BACKUPS_WEEKLY": "0",
        }
        made.start_server([SERVER_PYTHON, "-m", "bench.moved_server"])
        yield made, span


def logged_ms(made: Stack) -> list[float]:
    """Durations of pages in the access log, in order; not those of answers that only lead to another page."""
    found = re.findall(r"path=\S+ status=200 ms=([\d.]+)", (made.folder / "server.log").read_text())
    return [float(ms) for ms in found]


def ask(made: Stack, person: Person, span: Span, kinds: Mapping[str, Kind], requests: int) -> dict[str, Answers]:
    """All kinds in turns."""
    chance, answers = Random(2), {name: Answers() for name in kinds}
    server = [made.children[0].process.pid]
    for kind in kinds.values():
        person.get(kind.path(chance, span))
    time.sleep(0.5)  # a line is logged after its answer was read
    seen = len(logged_ms(made))
    for _ in range(requests):
        for name, kind in kinds.items():
            used = processor_s(server)
            text = person.get(kind.path(chance, span)).text
            answers[name].cpu_ms.append((processor_s(server) - used) * 1_000)
            answers[name].is_complete.append(is_complete(text))
            answers[name].rows.append(rows_in(kind, text))
    time.sleep(0.5)
    times = logged_ms(made)[seen:]
    assert len(times) == requests * len(kinds), f"{len(times)} durations"
    for number, ms in enumerate(times):
        answers[list(kinds)[number % len(kinds)]].ms.append(ms)
    return answers


def measure_pages(tasks: int, kinds: Mapping[str, Kind] = KINDS, requests: int = REQUESTS) -> dict[str, PageFigures]:
    """Measures each kind, and prints it."""
    with running(tasks) as (made, span):
        answers = ask(made, Person.sign_in(made, f"bench{time.time_ns()}"), span, kinds, requests)
    statements = count_statements(database(tasks), span, kinds, AFTER_US)
    print(f"    {tasks:,} tasks: kind, p50 and p99 ms, processor ms, complete, rows (median), statements")
    found = {}
    for name, of in answers.items():
        figures = found[name] = PageFigures(
            percentile(of.ms, 0.99), percentile(of.ms, 0.5), percentile(of.cpu_ms, 0.5), sum(of.is_complete) / len(of.is_complete),
            statistics.median(of.rows), statements[name],
        )  # fmt: skip
        print(
            f"    {name:16} {figures.p50:6.1f} {figures.figure:6.1f} {figures.cpu:6.1f} {figures.complete:5.0%} {figures.rows:5.0f}"
            f" {figures.statements:4.0f}",
            flush=True,
        )
    return found


def summary(found: Mapping[str, PageFigures], size: str) -> dict[str, float]:
    """The figures with a budget."""

    def of(*groups: str) -> list[PageFigures]:
        return [figures for name, figures in found.items() if KINDS[name].group in groups]

    return {
        f"page_p99_ms_{size}": max(each.figure for each in of("list", "search", "page")),
        f"search_text_ms_{size}": max(each.figure for each in of("text")),
        f"list_complete_{size}": min(each.complete for each in of("list")),
        f"search_rows_{size}": min(found[name].rows for name in ("rare", "rare_deep")),
    }


def bytes_per_task() -> float:
    """Of finished small tasks with their originals, sent in the shape of life, with the index of their words."""
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
        _wait_for_words(made)
        made.children[-1].end()
        with closing(sqlite3.connect(made.data / "z4j.db")) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return (made.data / "z4j.db").stat().st_size / SIZED


def _wait_for_words(made: Stack) -> None:
    """Until the words of all tasks are in the index."""
    ends = time.monotonic() + 120
    while made.rows("SELECT task FROM search_position WHERE key = 'to'") != [(SIZED,)] or made.rows("SELECT 1 FROM search_change LIMIT 1"):
        assert time.monotonic() < ends, "the index of words is not complete"
        time.sleep(0.5)


def measure() -> dict[str, object]:
    """`page_<kind>_<size>`, and the figures with a budget."""
    found: dict[str, object] = {"bytes_per_task": bytes_per_task()}
    for tasks, size in ((1_000_000, "1m"), (10_000_000, "10m")):
        pages = measure_pages(tasks)
        found |= {f"page_{name}_{size}": figures for name, figures in pages.items()}
        found |= summary(pages, size)
    return found


def main(words: Sequence[str]) -> None:
    """Prints the pages of some kinds."""
    parser = argparse.ArgumentParser("python -m bench.pages", description="Measures pages, and prints what was found.")
    parser.add_argument("--tasks", type=int, default=1_000_000, help="in the database (default: a million)")
    parser.add_argument("--requests", type=int, default=REQUESTS, help=f"of each kind (default: {REQUESTS})")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="the beginning of a name; all without")
    options = parser.parse_args(words)
    chosen = {name: kind for name, kind in KINDS.items() if name.startswith(tuple(options.kinds) or "")}
    if not chosen:
        parser.error(f"no kind of page begins with {' or '.join(options.kinds)} (known: {', '.join(KINDS)})")
    measure_pages(options.tasks, chosen, options.requests)


if __name__ == "__main__":
    main(sys.argv[1:])
