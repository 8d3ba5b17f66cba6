# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import two_app

import z4j_dramatiq
from z4j_agent.conformance.brokers.pauses import PausesContract
from z4j_agent.conformance.brokers.two_brokers import BOTH, TwoBrokers
from z4j_agent.conformance.gateway import Gateway


class TwoDatabases(TwoBrokers):
    engine = "dramatiq"
    queue = "work"

    def set_up(self) -> None:
        self.port = self.start_valkey()
        self.variables["TWO_PORT"] = str(self.port)

    def connect(self, gateway: Gateway) -> None:
        self.made = [two_app.make(which, self.port, str(self.folder)) for which in BOTH]
        for broker, _ in self.made:
            z4j_dramatiq.install(broker, **self.options(gateway))

    def disconnect(self) -> None:
        z4j_dramatiq.uninstall()
        for broker, _ in self.made:
            broker.close()
            broker.client.close()

    def send(self, which: int, value: str, *, delay_s: float = 0, task_id: str = "") -> str:
        _, note = self.made[which]
        return str(note.send(value).message_id)

    def start_worker_of(self, which: int) -> subprocess.Popen[bytes]:
        app = f"two_app:{('first', 'second')[which]}"
        command = [sys.executable, "-m", "dramatiq", app, "--processes", "1", "--threads", "1"]
        return self.start(f"worker-{which}", command, cwd=Path(__file__).resolve().parents[1] / "apps")

    def depth(self, which: int) -> int:
        return int(self.made[which][0].client.llen("dramatiq:work"))


class TestPauses(PausesContract):
    harness_class = TwoDatabases
