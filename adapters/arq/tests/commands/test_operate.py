# SPDX-License-Identifier: Apache-2.0
"""What operators may ask of arq, proved by what its own worker then does."""

from __future__ import annotations

import sys
import time
from typing import Any, ClassVar

import pytest
from test_conformance import ArqHarness

from z4j_agent.conformance import FailuresContract, Harness, OperateContract, wait_for


class OneHarness(ArqHarness):
    """One job at a time, so that the order of execution is the order of the queue."""

    def environment(self) -> dict[str, str]:
        return super().environment() | {"MAX_JOBS": "1"}

    def enqueue(self, kind: str, *args: Any, delay_s: float = 0, **options: Any) -> str:
        time.sleep(0.002)  # two jobs of one millisecond have no order
        return super().enqueue(kind, *args, delay_s=delay_s, **options)

    def start_other(self) -> None:
        self.start("other-worker", [sys.executable, "-m", "arq", "engine_app.OTHER_SETTINGS"], cwd=self.folder)
        wait_for(lambda: "redis_version=" in self.log("other-worker"), "the other worker is ready", seconds=30)


class TestOperate(OperateContract):
    harness_class = OneHarness
    other_queue: ClassVar[str] = "other"

    def start_other_worker(self, running: Harness) -> None:
        assert isinstance(running, OneHarness)
        running.start_other()


@pytest.mark.long
class TestFailures(FailuresContract):
    harness_class = OneHarness
    other_queue: ClassVar[str] = "other"
