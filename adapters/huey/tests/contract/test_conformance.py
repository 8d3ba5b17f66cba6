# SPDX-License-Identifier: Apache-2.0
"""Huey passes the contract: with threads, and at length with processes and greenlets, of which `test_hueys_own` has the essence."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from huey.api import Task

from z4j_agent.conformance import AdapterContract, Harness, Outcome, wait_for
from z4j_agent.conformance.harness import BASIC
from z4j_huey.adapter import HueyAdapter

APPS = Path(__file__).resolve().parents[1] / "apps"
ANYWHERE: dict[str, Outcome] = {
    "succeed": Outcome("succeeded", args=("value",)),
    "fail": Outcome("failed", args=("no such door",), error_type="ValueError"),
    "retry": Outcome("succeeded", attempts=2),
    "later": Outcome("succeeded", attempts=2),
    "give_up": Outcome("failed", attempts=2, error_type="OSError"),
    "wait": Outcome("succeeded", args=(0.05,)),
    "log": Outcome("succeeded", args=(42, "hunter2")),
    "secret": Outcome("succeeded", args=("eve", "hunter2")),
    "note": Outcome("succeeded", args=(42, "hunter2")),
    "spawn": Outcome("succeeded"),
    "cancels_itself": Outcome("cancelled", "by_itself"),
    "cancels_and_retries": Outcome("succeeded", attempts=2),
    "vetoed": Outcome("cancelled", "vetoed", is_started=False),
    "locked": Outcome("rejected", "locked"),
    "locked_twice": Outcome("rejected", "locked", attempts=2),
    "unstorable": Outcome("failed", "not_stored"),
    "late": Outcome("expired", is_received=False, is_started=False, options={"as": "succeed", "expires": -1}, args=("late",)),
    "unknown": Outcome("rejected", "unknown_task", is_received=False, is_started=False),
}
TIMED: dict[str, Outcome] = {
    "limit": Outcome("failed", "time_limit", error_type="TaskTimeout"),
    "limit_once": Outcome("succeeded", attempts=2),
}
IN_PROCESSES: dict[str, Outcome] = {
    "crash": Outcome("lost", "child_killed", is_timed=False),
    **(TIMED if hasattr(Task, "default_timeout") else {}),
}
NAMES = {kind: f"engine_app.{kind}" for kind in ANYWHERE | IN_PROCESSES | TIMED}


class HueyHarness(Harness):
    adapter = HueyAdapter
    outcomes: ClassVar[Mapping[str, Outcome]] = ANYWHERE
    names: ClassVar[Mapping[str, str]] = NAMES | {"late": "engine_app.succeed"}
    queue = "work"
    worker_options: ClassVar[Mapping[str, str]] = {"serializer": "huey.serializer.Serializer"}
    storage: ClassVar[str] = "redis"
    workers: ClassVar[str] = "thread"

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        self.at = ""

    def environment(self) -> dict[str, str]:
        ours = {"HUEY_STORAGE": self.storage, "HUEY_AT": self.at, "HUEY_WORKERS": self.workers, "PYTHONPATH": str(APPS)}
        return super().environment() | ours

    def set_up(self) -> None:
        is_redis = self.storage in ("redis", "priority")
        self.at = str(self.start_valkey()) if is_redis else str(self.folder / f"tasks.{self.storage}")

    def start_worker(self) -> subprocess.Popen[bytes]:
        count = self.log("worker").count("commands are available")
        options = ["-k", self.workers, "-w", "2", "-c", "1", "-d", "0.02", "-m", "0.05"]
        consumer = [sys.executable, "-m", "huey.bin.huey_consumer", "engine_app.huey", *options]
        worker = self.start("worker", consumer, cwd=self.folder)
        wait_for(lambda: self.log("worker").count("commands are available") > count, "the worker is ready", seconds=30)
        return worker

    def enqueue(self, kind: str, *args: Any, delay_s: float = 0, **options: Any) -> str:
        send: dict[str, Any] = {key: options.pop(key) for key in ("as", "expires", "retries") if key in options}
        if delay_s:
            send["delay"] = delay_s
        return self.ask_producer([sys.executable, APPS / "engine_app.py"], [kind, args, options, send])


class TestThreads(AdapterContract):
    harness_class = HueyHarness


class ProcessHarness(HueyHarness):
    cpu_of = "process"
    outcomes: ClassVar[Mapping[str, Outcome]] = {kind: ANYWHERE[kind] for kind in (*BASIC, "give_up", "unstorable")} | IN_PROCESSES
    runs_in_children = True
    workers = "process"
    storage = "priority"


@pytest.mark.long
class TestProcesses(AdapterContract):
    harness_class = ProcessHarness


class GreenletHarness(HueyHarness):
    cpu_of = ""
    unsupported = frozenset({"inspect_task"})
    outcomes: ClassVar[Mapping[str, Outcome]] = {kind: ANYWHERE[kind] for kind in (*BASIC, "later")} | (
        TIMED if hasattr(Task, "default_timeout") else {}
    )
    workers = "greenlet"


@pytest.mark.long
class TestGreenlets(AdapterContract):
    harness_class = GreenletHarness
