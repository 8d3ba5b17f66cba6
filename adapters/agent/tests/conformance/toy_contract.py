# SPDX-License-Identifier: Apache-2.0
"""The toy engine under the contract: honest, and with each of the defects in $TOY_DEFECTS, each in a class of its own with its own worker.
`test_contract.py` runs it; pytest alone does not collect it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from toy import ToyAdapter

from z4j_agent.conformance import AdapterContract, Harness, Outcome, wait_for

TOY = Path(__file__).with_name("toy.py")


class ToyHarness(Harness):
    adapter = ToyAdapter
    outcomes: ClassVar[Mapping[str, Outcome]] = {
        "succeed": Outcome("succeeded", args=(1,)),
        "fail": Outcome("failed", args=("no",), error_type="ValueError"),
        "retry": Outcome("succeeded", attempts=2),
        "wait": Outcome("succeeded", args=(0.01,)),
        "log": Outcome("succeeded", args=(42, "hunter2")),
        "secret": Outcome("succeeded", args=("eve", "hunter2")),
        "spawn": Outcome("succeeded"),
        "note": Outcome("succeeded", args=(42, "hunter2")),
        "crash": Outcome("lost", "child_killed", is_timed=False),
    }
    queue = "toys"
    cpu_of = "process"
    runs_in_children = True
    breaks: ClassVar[str] = ""

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        self.producers: dict[str, subprocess.Popen[bytes]] = {}

    def set_up(self) -> None:
        (self.folder / "toy").mkdir()

    def environment(self) -> dict[str, str]:
        return super().environment() | {"TOY": str(self.folder / "toy"), "TOY_BREAKS": self.breaks}

    def start_worker(self) -> subprocess.Popen[bytes]:
        count = self.log("worker").count("ready")
        worker = self.start("worker", [sys.executable, TOY, "worker"])
        wait_for(lambda: self.log("worker").count("ready") > count, "the worker is ready")
        return worker

    def enqueue(self, kind: str, *args: Any, delay_s: float = 0, **options: Any) -> str:
        producer = self.producers.get(self.url)
        if producer is None:
            command = [sys.executable, TOY, "producer"]
            producer = self.producers[self.url] = self.start("producer", command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert producer.stdin is not None
        assert producer.stdout is not None
        producer.stdin.write(json.dumps([kind, args, options, delay_s]).encode() + b"\n")
        producer.stdin.flush()
        return producer.stdout.readline().decode().strip()


class TestToy(AdapterContract):
    harness_class = ToyHarness


def broken(defect: str) -> type[AdapterContract]:
    harness = type(f"{defect}_harness", (ToyHarness,), {"breaks": defect})
    return type(f"Test_{defect}", (AdapterContract,), {"harness_class": harness, "__module__": __name__})


globals().update({f"Test_{defect}": broken(defect) for defect in os.environ.get("TOY_DEFECTS", "").split()})
