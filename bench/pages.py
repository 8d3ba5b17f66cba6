# SPDX-License-Identifier: AGPL-3.0-or-later
"""A million tasks, then 500 requests of each kind; the time is the access log's own, so the client costs nothing."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from bench.ingest import TASKS_PER_BATCH
from bench.measure import percentile
from tests.support.browserless import Person
from tests.support.stack import Stack, stack
from tests.support.wire_client import WireClient, life, now
from z4j_agent import wire

NAMES = [f"shop.part_{number:02}" for number in range(40)]
LISTS = (
    "/tasks",
    "/tasks?state=failed",
    "/tasks?state=succeeded&name=shop.part_07",
    "/tasks?queue=work3&engine=celery",
)
SEARCHES = ("/tasks?name=shop.part_31&state=failed", "/tasks?name=shop.part_02&state=running")
REQUESTS = 500


def fill(made: Stack, tasks: int) -> None:
    with WireClient(made.url) as client:
        client.send_and_wait(client.origin())
        acked = client.seq
        start = now() - tasks * 1000
        for first in range(1, tasks + 1, TASKS_PER_BATCH):
            batch = b"".join(
                life(client.boot, n, start + n * 1000, name=NAMES[n % 40], queue=f"work{n % 7}")
                for n in range(first, min(first + TASKS_PER_BATCH, tasks + 1))
            )
            sent = client.send(batch)
            while sent - acked >= wire.WINDOW:
                acked = client.hear(60)["seq"]
        while acked < client.seq:
            acked = client.hear(60)["seq"]


def logged_ms(made: Stack) -> list[float]:
    """Durations of page requests in the access log, in order."""
    return [
        float(found[1])
        for line in (made.folder / "server.log").read_text().splitlines()
        if (found := re.search(r"path=/tasks\b.*?\bms=([\d.]+)", line))
    ]


def ask(made: Stack, person: Person, paths: tuple[str, ...]) -> list[float]:
    for path in paths:
        person.get(path)
    seen = len(logged_ms(made))
    for number in range(REQUESTS):
        person.get(paths[number % len(paths)])
    times = logged_ms(made)[seen:]
    assert len(times) == REQUESTS
    return times


def measure(tasks: int = 1_000_000) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder), is_fresh=True) as made:
        made.command("migrate")
        made.add_app()
        made.start_server()
        person = Person.sign_in(made)
        fill(made, tasks)
        made.children[-1].end()
        size = (made.data / "z4j.db").stat().st_size
        made.start_server()
        return {
            "bytes_per_task": size / tasks,
            "list_p99_ms_1m": percentile(ask(made, person, LISTS), 0.99),
            "search_p99_ms_1m": percentile(ask(made, person, SEARCHES), 0.99),
        }
