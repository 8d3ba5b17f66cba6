# SPDX-License-Identifier: Apache-2.0
"""A child of the prefork pool begins with everything that its hooks need: with `--max-tasks-per-child 1`, every task would pay for it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from test_conformance import CeleryHarness

from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import wait_for

TASKS = (("succeed", "https://user:pass@shop.example/?token=1 key=hunter2"), ("secret", "eve", "hunter2"), ("fail", "no such door"))


class ProbedHarness(CeleryHarness):
    """One child, and another one for each task, see `probed_app.py`."""

    def start_worker(self) -> subprocess.Popen[bytes]:
        self.variables["PROBE"] = str(self.folder / "children")
        celery = [sys.executable, "-m", "celery", "-A", "probed_app", "worker", "--loglevel", "INFO", "-Q", self.queue]
        worker = self.start("worker", [*celery, "--concurrency", "1", "--max-tasks-per-child", "1", "-n", "w@test"], cwd=self.folder)
        wait_for(lambda: " ready." in self.log("worker"), "the worker is ready", seconds=30)
        return worker

    def child(self, number: int) -> dict[str, Any] | None:
        """What one of the children did, from 0, once it has ended."""
        path = self.folder / "children"
        lines = path.read_text().splitlines() if path.exists() else []
        return json.loads(lines[number]) if len(lines) > number else None


@pytest.fixture
def probed(tmp_path: Path) -> Iterator[ProbedHarness]:
    gateway = Gateway()
    gateway.start()
    harness = ProbedHarness(tmp_path, gateway.url)
    try:
        harness.set_up()
        yield harness
    finally:
        harness.tear_down()
        gateway.stop()


def test_a_child_imports_nothing_of_the_agent_and_compiles_no_pattern(probed: ProbedHarness) -> None:
    probed.start_worker()
    for number, (kind, *args) in enumerate(TASKS):
        probed.enqueue(kind, *args)
        assert wait_for(partial(probed.child, number), f"the child of {kind} ends") == {"imported": [], "compiled": []}, kind
