# SPDX-License-Identifier: AGPL-3.0-or-later
"""The executable: size, time to the first answer, resident size when idle, weight of the first page."""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path

import httpx2 as httpx

from bench.measure import median, resident_mb, tree
from tests.support.browserless import Person
from tests.support.stack import ROOT, Stack, stack

EXECUTABLE = ROOT / "dist/z4j"


def first_answer_s(made: Stack) -> float:
    began = time.monotonic()
    server = made.start("server", [EXECUTABLE, "serve", "--port", str(made.port)])
    while True:
        try:
            if httpx.get(f"{made.address}/healthz").status_code == 200:
                return time.monotonic() - began
        except httpx.TransportError:
            assert server.process.poll() is None, server.log.read_text()[-2000:]
            time.sleep(0.005)


def idle_mb(made: Stack) -> float:
    """Resident size of the server and its launcher after five seconds without requests."""
    time.sleep(5)
    return sum(resident_mb(pid) for pid in tree(made.children[-1].process.pid))


def page_weight_kb(made: Stack) -> float:
    """The first page after sign-in and every asset it names, in the bytes that travel to a browser that accepts gzip."""
    client = Person.sign_in(made).client
    page = client.get("/tasks").text
    paths = {"/tasks", *re.findall(r'(?:href|src)="(/static/[^"#]+)', page)}
    total = 0
    for path in paths:
        with client.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as answer:
            assert answer.status_code == 200, path
            total += sum(len(part) for part in answer.iter_raw())
    return total / 1024


def measure(starts: int = 5) -> dict[str, float]:
    if not EXECUTABLE.exists():
        return {}
    seconds = []
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder), is_fresh=True) as made:
        made.command("migrate")
        for number in range(starts + 1):
            took = first_answer_s(made)
            if number:
                seconds.append(took)
            if number < starts:
                made.children[-1].end()
        unused = idle_mb(made)
        weight = page_weight_kb(made)
        idle = idle_mb(made)
    return {
        "start_s": median(seconds),
        "idle_rss_mb": idle,
        "idle_unused_rss_mb": unused,
        "executable_mb": EXECUTABLE.stat().st_size / 1_000_000,
        "page_weight_kb": weight,
    }
