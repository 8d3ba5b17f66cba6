# SPDX-License-Identifier: Apache-2.0
"""A work horse begins with everything that its hooks need: what it imports or compiles, every job pays for."""

from __future__ import annotations

import subprocess
import sys

import pytest
from test_conformance import RqHarness

from z4j_agent.conformance.forked_children import ForkedChildren, of_agent
from z4j_agent.conformance.harness import wait_for
from z4j_agent.conformance.harness_fixtures import HarnessFixtures


class ProbedHarness(ForkedChildren, RqHarness):
    """Its work horses report what they do."""

    def start_worker(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "rq.cli", "worker", "-c", "probed_app", "--url", self.environment()["BROKER_URL"], self.queue]
        worker = self.start("worker", command, cwd=self.folder)
        wait_for(lambda: "Listening on" in self.log("worker"), "the worker is ready", seconds=30)
        return worker


class TestHorses(HarnessFixtures):
    harness_class = ProbedHarness

    @pytest.mark.parametrize("is_producer_watched", [True, False])
    def test_a_horse_imports_nothing_and_compiles_no_pattern(self, alone: ProbedHarness, is_producer_watched: bool) -> None:
        alone.variables["PRELOAD"] = "1"
        alone.start_worker()
        alone.url = alone.url if is_producer_watched else ""
        for kind, horse in alone.run_tasks():
            assert horse == {"imported": [], "compiled": []}, kind

    def test_a_horse_that_loads_the_tasks_imports_nothing_of_the_agent(self, alone: ProbedHarness) -> None:
        """It also reports the arguments: neither its worker has the functions, nor is the producer watched."""
        alone.variables["PRELOAD"] = ""
        alone.start_worker()
        alone.url = ""
        for kind, horse in alone.run_tasks():
            imported = [name for name in of_agent(horse) if "conformance" not in name]
            assert (imported, horse["compiled"]) == ([], []), kind
