# SPDX-License-Identifier: Apache-2.0
"""Huey passes the contract: worker threads, and worker processes for what differs there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from z4j_agent.conformance import AdapterContract, Harness, Outcome, wait_for
from z4j_huey.adapter import HueyAdapter

HERE = Path(__file__).resolve().parent
ANYWHERE: dict[str, Outcome] = {
    "succeed": Outcome("succeeded", args=("value",)),
    "fail": Outcome("failed", args=("no such door",), error_type="ValueError"),
    "retry": Outcome("succeeded", attempts=2),
    "later": Outcome("succeeded", attempts=2),
    "wait": Outcome("succeeded", args=(0.05,)),
    "secret": Outcome("succeeded", args=("eve", "hunter2")),
    "spawn": Outcome("succeeded"),
    "give_up": Outcome("cancelled", "by_itself"),
    "locked": Outcome("rejected", "locked"),
    "unknown": Outcome("rejected", "unknown_task", is_received=False, is_started=False),
}
IN_PROCESSES: dict[str, Outcome] = {
    "limit": Outcome("failed", "time_limit", error_type="TaskTimeout"),
    "crash": Outcome("lost", "child_killed", is_timed=False),
}


class ThreadHarness(Harness):
    adapter = HueyAdapter
    outcomes: ClassVar[Mapping[str, Outcome]] = ANYWHERE
    names: ClassVar[Mapping[str, str]] = {kind: f"engine_app.{kind}" for kind in ANYWHERE | IN_PROCESSES}
    queue = "work"
    workers: ClassVar[tuple[str, ...]] = ("-k", "thread", "-w", "2")

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        self.broker_port = 0

    def environment(self) -> dict[str, str]:
        return super().environment() | {"BROKER_URL": f"redis://127.0.0.1:{self.broker_port}/0", "PYTHONPATH": str(HERE)}

    def set_up(self) -> None:
        self.broker_port = self.start_valkey()

    def start_worker(self) -> subprocess.Popen[bytes]:
        said = self.log("worker").count("commands are available")
        consumer = [sys.executable, "-m", "huey.bin.huey_consumer", "engine_app.huey", *self.workers, "-c", "1"]
        worker = self.start("worker", consumer, cwd=self.folder)
        wait_for(lambda: self.log("worker").count("commands are available") > said, "the worker is ready", seconds=30)
        return worker

    def enqueue(self, kind: str, *args: Any, delay_s: float = 0, **options: Any) -> str:
        send = {"delay": delay_s} if delay_s else {}
        return self.ask_producer([sys.executable, HERE / "engine_app.py"], [kind, args, options, send])


class TestThreads(AdapterContract):
    harness_class = ThreadHarness


class ProcessHarness(ThreadHarness):
    outcomes: ClassVar[Mapping[str, Outcome]] = ANYWHERE | IN_PROCESSES
    runs_in_children = True
    workers = ("-k", "process", "-w", "2")


class TestProcesses(AdapterContract):
    harness_class = ProcessHarness
