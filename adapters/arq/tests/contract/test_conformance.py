# SPDX-License-Identifier: Apache-2.0
"""arq passes the contract. There is one way to run it: one process, one loop."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from z4j_agent.conformance import AdapterContract, Harness, Outcome, wait_for
from z4j_arq.adapter import ArqAdapter

APPS = Path(__file__).resolve().parents[1] / "apps"
OUTCOMES: dict[str, Outcome] = {
    "succeed": Outcome("succeeded", args=("value",)),
    "fail": Outcome("failed", args=("no such door",), error_type="ValueError"),
    "retry": Outcome("succeeded", attempts=2),
    "wait": Outcome("succeeded", args=(0.05,)),
    "log": Outcome("succeeded", args=(42, "hunter2")),
    "secret": Outcome("succeeded", args=("eve", "hunter2")),
    "note": Outcome("succeeded", args=(42, "hunter2")),
    "spawn": Outcome("succeeded"),
    "limit": Outcome("failed", "time_limit", error_type="TimeoutError"),
    "unkept": Outcome("succeeded", "unserializable_result"),
    "unknown": Outcome("rejected", "unknown_task", is_started=False),
}


class ArqHarness(Harness):
    cpu_of = ""
    adapter = ArqAdapter
    outcomes: ClassVar[Mapping[str, Outcome]] = OUTCOMES
    names: ClassVar[Mapping[str, str]] = {kind: f"contract.{kind}" for kind in OUTCOMES}
    queue = "work"
    worker_options: ClassVar[Mapping[str, str]] = {"job_serializer": "pickle", "job_deserializer": "pickle"}
    producer: ClassVar[tuple[str, ...]] = ()

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        self.broker_port = 0

    def environment(self) -> dict[str, str]:
        return super().environment() | {"BROKER_URL": f"redis://127.0.0.1:{self.broker_port}/0", "PYTHONPATH": str(APPS)}

    def set_up(self) -> None:
        self.broker_port = self.start_valkey()

    def start_worker(self) -> subprocess.Popen[bytes]:
        count = self.log("worker").count("redis_version=")
        worker = self.start("worker", [sys.executable, "-m", "arq", "engine_app.WorkerSettings"], cwd=self.folder)
        wait_for(lambda: self.log("worker").count("redis_version=") > count, "the worker is ready", seconds=30)
        return worker

    def enqueue(self, kind: str, *args: Any, delay_s: float = 0, **options: Any) -> str:
        send = {"_defer_by": delay_s} if delay_s else {}
        return self.ask_producer([sys.executable, APPS / "engine_app.py", *self.producer], [kind, args, options, send])


class TestArq(AdapterContract):
    harness_class = ArqHarness
