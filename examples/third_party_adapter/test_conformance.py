# SPDX-License-Identifier: Apache-2.0
"""SAQ passes the contract, unchanged."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from z4j_saq import SaqAdapter

from z4j_agent.conformance import AdapterContract, Harness, Outcome, wait_for

HERE = Path(__file__).resolve().parent
PARAMETERS = {
    "succeed": ("value",),
    "fail": ("value",),
    "wait": ("seconds",),
    "log": ("number", "password"),
    "secret": ("user", "password"),
    "note": ("order", "password"),
}
"""SAQ passes every argument by its name."""
MORE: dict[str, dict[str, Any]] = {"retry": {"retries": 2}, "late": {"timeout": 1}, "wait": {"timeout": 60}}


class SaqHarness(Harness):
    adapter = SaqAdapter
    queue = "work"
    cpu_of = ""  # the tasks of a worker share its thread
    names: ClassVar[Mapping[str, str]] = {"late": "wait"}
    outcomes: ClassVar[Mapping[str, Outcome]] = {
        "succeed": Outcome("succeeded", args=("value",)),
        "fail": Outcome("failed", args=("no such door",), error_type="ValueError"),
        "retry": Outcome("succeeded", attempts=2),
        "wait": Outcome("succeeded", args=(0.05,)),
        "log": Outcome("succeeded", args=(42, "hunter2")),
        "secret": Outcome("succeeded", args=("eve", "hunter2")),
        "spawn": Outcome("succeeded"),
        "note": Outcome("succeeded", args=(42, "hunter2")),
        "unknown": Outcome("rejected", "unknown_task", is_started=False),
        "late": Outcome("failed", "time_limit", error_type="TimeoutError", args=(30,)),
    }
    broker_port = 0

    def environment(self) -> dict[str, str]:
        return super().environment() | {"BROKER_URL": f"redis://127.0.0.1:{self.broker_port}/0", "PYTHONPATH": str(HERE)}

    def set_up(self) -> None:
        self.broker_port = self.start_valkey()

    def start_worker(self) -> subprocess.Popen[bytes]:
        starts = self.log("worker").count("Worker starting")
        worker = self.start("worker", [sys.executable, "-m", "saq", "app.settings", "-v"], cwd=self.folder)
        wait_for(lambda: self.log("worker").count("Worker starting") > starts, "the worker is ready", seconds=30)
        return worker

    def enqueue(self, kind: str, *args: Any, delay_s: float = 0, **options: Any) -> str:
        sent = dict(zip(PARAMETERS.get(self.name_of(kind), ()), args, strict=False)) | options | MORE.get(kind, {})
        if delay_s:
            sent["scheduled"] = math.ceil(time.time() + delay_s)
        return self.ask_producer([sys.executable, HERE / "app.py"], [self.name_of(kind), sent])


class TestSaq(AdapterContract):
    harness_class = SaqHarness
