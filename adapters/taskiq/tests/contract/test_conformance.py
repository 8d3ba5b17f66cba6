# SPDX-License-Identifier: Apache-2.0
"""taskiq passes the contract on a Redis list; on a Redis stream and on RabbitMQ where time does not matter."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from z4j_agent.conformance import AdapterContract, Harness, Outcome, wait_for
from z4j_agent.conformance.brokers.rabbitmq import start_rabbitmq
from z4j_taskiq.adapter import TaskiqAdapter

APPS = Path(__file__).resolve().parents[1] / "apps"
SLOTS = 2
OUTCOMES: dict[str, Outcome] = {
    "succeed": Outcome("succeeded", args=("value",)),
    "sync_succeed": Outcome("succeeded", args=("value",)),
    "fail": Outcome("failed", args=("no such door",), error_type="ValueError"),
    "sync_fail": Outcome("failed", args=("no such key",), error_type="KeyError"),
    "retry": Outcome("succeeded", attempts=2),
    "give_up": Outcome("failed", attempts=2, error_type="OSError"),
    "wait": Outcome("succeeded", args=(0.05,)),
    "sync_wait": Outcome("succeeded", args=(0.05,)),
    "log": Outcome("succeeded", args=(42, "hunter2")),
    "secret": Outcome("succeeded", args=("eve", "hunter2")),
    "note": Outcome("succeeded", args=(42, "hunter2")),
    "sync_note": Outcome("succeeded", args=(42, "hunter2")),
    "spawn": Outcome("succeeded"),
    "ignore": Outcome("succeeded", "ignored"),
    "reject": Outcome("rejected", "rejected"),
    "requeue": Outcome("succeeded", attempts=2),
    "unknown": Outcome("rejected", "unknown_task", is_received=False, is_started=False),
    "limit": Outcome("failed", "time_limit", error_type="TimeoutError"),
    "own_timeout": Outcome("failed", error_type="TimeoutError"),
    "leave_loop": Outcome("failed", error_type="CancelledError"),
}


class ListHarness(Harness):
    cpu_of = ""
    adapter = TaskiqAdapter
    outcomes: ClassVar[Mapping[str, Outcome]] = OUTCOMES
    names: ClassVar[Mapping[str, str]] = {kind: f"contract.{kind}" for kind in OUTCOMES}
    queue = "work"
    worker_options: ClassVar[Mapping[str, str]] = {
        "serializer": "taskiq.serializers.json_serializer.JSONSerializer", "formatter": "taskiq.formatters.proxy_formatter.ProxyFormatter",
        "ack-type": "when_saved",
    }  # fmt: skip
    broker: ClassVar[str] = "list"

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        self.broker_url = ""

    def environment(self) -> dict[str, str]:
        return super().environment() | {"BROKER": self.broker, "BROKER_URL": self.broker_url, "PYTHONPATH": str(APPS)}

    def set_up(self) -> None:
        self.broker_url = f"redis://127.0.0.1:{self.start_valkey()}/0"

    def start_worker(self) -> subprocess.Popen[bytes]:
        count = self.log("worker").count("Listening started")
        taskiq = [sys.executable, "-m", "taskiq", "worker", "engine_app:broker", "--workers", "1", "--max-async-tasks", str(SLOTS)]
        worker = self.start("worker", taskiq, cwd=APPS)
        wait_for(lambda: self.log("worker").count("Listening started") > count, "the worker is ready", seconds=30)
        return worker

    def enqueue(self, kind: str, *args: Any, delay_s: float = 0, **options: Any) -> str:
        """Redis knows no delay: a task waits in its queue because the worker's slots are taken."""
        for _ in range(SLOTS if delay_s else 0):
            self.send("wait", (delay_s,), {}, {})
        return self.send(kind, args, options, {})

    def send(self, kind: str, args: tuple[Any, ...], kwargs: dict[str, Any], labels: dict[str, Any]) -> str:
        return self.ask_producer([sys.executable, APPS / "engine_app.py"], [kind, args, kwargs, labels])


class TestList(AdapterContract):
    harness_class = ListHarness


class StreamHarness(ListHarness):
    """Acknowledged when the result is saved, so a killed worker loses nothing."""

    broker = "stream"


@pytest.mark.long
class TestStream(AdapterContract):
    harness_class = StreamHarness


class RabbitHarness(ListHarness):
    """Delays messages itself, keeps no results, and cannot be looked into."""

    broker = "rabbitmq"

    def set_up(self) -> None:
        self.broker_url = f"amqp://guest:guest@127.0.0.1:{start_rabbitmq(self)}/"

    def enqueue(self, kind: str, *args: Any, delay_s: float = 0, **options: Any) -> str:
        return self.send(kind, args, options, {"delay": delay_s} if delay_s else {})


@pytest.mark.long
@pytest.mark.rabbitmq
class TestRabbitMQ(AdapterContract):
    harness_class = RabbitHarness
