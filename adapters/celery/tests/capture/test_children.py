# SPDX-License-Identifier: Apache-2.0
"""A child of the prefork pool begins with everything that its hooks need: with `--max-tasks-per-child 1`, every task would pay for it."""

from __future__ import annotations

import subprocess
import sys

from test_conformance import CeleryHarness

from z4j_agent.conformance.forked_children import ForkedChildren, of_agent
from z4j_agent.conformance.harness import wait_for
from z4j_agent.conformance.harness_fixtures import HarnessFixtures


class ProbedHarness(ForkedChildren, CeleryHarness):
    """One child, and another one for each task."""

    def start_worker(self) -> subprocess.Popen[bytes]:
        celery = [sys.executable, "-m", "celery", "-A", "probed_app", "worker", "--loglevel", "INFO", "-Q", self.queue]
        worker = self.start("worker", [*celery, "--concurrency", "1", "--max-tasks-per-child", "1", "-n", "w@test"], cwd=self.folder)
        wait_for(lambda: " ready." in self.log("worker"), "the worker is ready", seconds=30)
        return worker


class TestChildren(HarnessFixtures):
    harness_class = ProbedHarness

    def test_a_child_imports_nothing_of_the_agent_and_compiles_no_pattern(self, alone: ProbedHarness) -> None:
        alone.start_worker()
        for kind, child in alone.run_tasks():
            assert (of_agent(child), child["compiled"]) == ([], []), kind
