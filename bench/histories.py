# SPDX-License-Identifier: AGPL-3.0-or-later
"""Pages of task names, queues and workers over a day of tasks (`bench.large_database`), by range, while nothing is written.

The time is the access log's own. Beside it is the processor time of the server, which does not depend on what else the machine does. Not
measured: the browser, several readers at once, ingest beside them, many releases of one name.

    python -m bench.histories [tasks]
"""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from typing import Final

from bench.measure import percentile
from bench.pages import running
from bench.traffic import NAMES, QUEUES
from tests.support.browserless import Person
from tests.support.stack import Stack
from z4j.rules.history.ranges import SPANS

REQUESTS: Final = 20
"""Of each page."""


def pages() -> dict[str, str]:
    """Name of what is measured → path."""
    found = {"names": "/names?range=24h", "now": "/"}
    for key in SPANS:
        found[f"name {key}"] = f"/names/{NAMES[0]}?range={key}"
        found[f"queue {key}"] = f"/queues/{QUEUES[0]}?range={key}"
    return found | {"queues": "/queues", "tasks": "/tasks"}


def figures(tasks: int) -> dict[str, tuple[list[float], float]]:
    """Returns by page the milliseconds of each answer, and the milliseconds of processor time of one answer."""
    asked = pages()
    found: dict[str, tuple[list[float], float]] = {}
    with running(tasks) as (made, _):
        person = Person.sign_in(made, f"bench{time.time_ns()}")
        for name, path in asked.items():
            person.get(path)  # the first answer reads the file
            time.sleep(0.2)
            before, lines = cpu_ms(made.children[0].process.pid), len(log(made, path))
            for _ in range(REQUESTS):
                person.get(path)
            time.sleep(0.2)  # a line is logged after its answer was read
            used = cpu_ms(made.children[0].process.pid) - before
            found[name] = log(made, path)[lines:], used / REQUESTS
    return found


def log(made: Stack, path: str) -> list[float]:
    """Returns the durations of the answers of a page."""
    page = re.escape(path.partition("?")[0])
    lines = (made.folder / "server.log").read_text().splitlines()
    return [float(took[1]) for line in lines if (took := re.search(rf"path={page} .*?\bms=([\d.]+)", line))]


def cpu_ms(pid: int) -> float:
    """Returns the processor time that a process has used, in milliseconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1_000 / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    for name, (ms, cpu) in figures(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000).items():
        print(f"{name:12} p50 {percentile(ms, 0.5):7.1f} ms   p99 {percentile(ms, 0.99):7.1f} ms   processor {cpu:6.1f} ms", flush=True)
