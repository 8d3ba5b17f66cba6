# SPDX-License-Identifier: Apache-2.0
"""A work horse begins with everything that its hooks need: what it imports or compiles, every job pays for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from test_conformance import RqHarness

from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import wait_for


class ProbedHarness(RqHarness):
    """The worker looks at its horses, see `probed_app.py`."""

    def start_worker(self) -> subprocess.Popen[bytes]:
        self.variables["PROBE"] = str(self.folder / "horses")
        command = [sys.executable, "-m", "rq.cli", "worker", "-c", "probed_app", "--url", self.environment()["BROKER_URL"], self.queue]
        worker = self.start("worker", command, cwd=self.folder)
        wait_for(lambda: "Listening on" in self.log("worker"), "the worker is ready", seconds=30)
        return worker

    def horse(self, number: int) -> dict[str, Any] | None:
        """What one of the horses did, from 0, once it has ended."""
        path = self.folder / "horses"
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


TASKS = (("succeed", "https://user:pass@shop.example/?token=1 key=hunter2"), ("secret", "eve", "hunter2"), ("fail", "no such door"))


def run_tasks(probed: ProbedHarness) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each task alone, and what its horse did."""
    for number, (kind, *args) in enumerate(TASKS):
        probed.enqueue(kind, *args)
        horse = wait_for(partial(probed.horse, number), f"the horse of {kind}")
        assert horse is not None
        yield kind, horse


@pytest.mark.parametrize("is_producer_watched", [True, False])
def test_a_horse_imports_nothing_and_compiles_no_pattern(probed: ProbedHarness, is_producer_watched: bool) -> None:
    probed.variables["PRELOAD"] = "1"
    probed.start_worker()
    probed.url = probed.url if is_producer_watched else ""
    for kind, horse in run_tasks(probed):
        assert horse == {"imported": [], "compiled": []}, kind


def test_a_horse_that_loads_the_tasks_imports_nothing_of_the_agent(probed: ProbedHarness) -> None:
    """It also reports the arguments: neither its worker has the functions, nor is the producer watched."""
    probed.variables["PRELOAD"] = ""
    probed.start_worker()
    probed.url = ""
    for kind, horse in run_tasks(probed):
        of_agent = [name for name in horse["imported"] if name.startswith(("z4j", "cryptography")) and "conformance" not in name]
        assert (of_agent, horse["compiled"]) == ([], []), kind
