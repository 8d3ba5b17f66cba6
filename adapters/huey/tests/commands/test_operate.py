# SPDX-License-Identifier: Apache-2.0
"""What operators may ask of Huey, proved by what its own consumer then does: with priorities on Redis and on SQLite, and without."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import ClassVar

import pytest
from test_conformance import HueyHarness

from z4j_agent.conformance import FailuresContract, OperateContract, wait_for

LEVELS = ("next", "high", "normal", "low")


class PriorityHarness(HueyHarness):
    """One worker, so that the order of execution is the order of the queue."""

    storage = "priority"

    def start_worker(self) -> subprocess.Popen[bytes]:
        count = self.log("worker").count("commands are available")
        options = ["-k", self.workers, "-w", "1", "-c", "1", "-d", "0.02", "-m", "0.05", "-n"]
        worker = self.start("worker", [sys.executable, "-m", "huey.bin.huey_consumer", "engine_app.huey", *options], cwd=self.folder)
        wait_for(lambda: self.log("worker").count("commands are available") > count, "the worker is ready", seconds=30)
        return worker


class TestPriorityRedis(OperateContract):
    harness_class = PriorityHarness
    levels: ClassVar[Sequence[str]] = LEVELS


class SqliteHarness(PriorityHarness):
    storage = "sqlite"


@pytest.mark.long
class TestSqlite(OperateContract):
    harness_class = SqliteHarness
    levels: ClassVar[Sequence[str]] = LEVELS


class ListHarness(PriorityHarness):
    storage = "redis"
    workers = "process"


@pytest.mark.long
class TestRedisList(OperateContract):
    harness_class = ListHarness
    levels: ClassVar[Sequence[str]] = ()


@pytest.mark.long
class TestFailures(FailuresContract):
    harness_class = PriorityHarness
