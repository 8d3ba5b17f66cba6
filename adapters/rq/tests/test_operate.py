# SPDX-License-Identifier: Apache-2.0
"""What operators may ask of RQ, proved by what its own worker then does."""

from __future__ import annotations

import sys
from typing import ClassVar

from test_conformance import RqHarness

from z4j_agent.conformance import FailuresContract, OperateContract, wait_for


class OperateHarness(RqHarness):
    """One worker of two queues; a forking one takes one job at a time anyway."""

    def start_worker(self):  # type: ignore[no-untyped-def]
        said = self.log("worker").count("Listening on")
        command = [sys.executable, "-m", "rq.cli", "worker", "-c", "engine_app", "-w", self.kind, "--url", self.environment()["BROKER_URL"]]
        worker = self.start("worker", [*command, "--with-scheduler", self.queue, "other"], cwd=self.folder)
        wait_for(lambda: self.log("worker").count("Listening on") > said, "the worker is ready", seconds=30)
        return worker


class TestOperate(OperateContract):
    harness_class = OperateHarness
    other_queue: ClassVar[str] = "other"
    keeps_dead: ClassVar[bool] = True


class TestFailures(FailuresContract):
    harness_class = OperateHarness
    other_queue: ClassVar[str] = "other"
