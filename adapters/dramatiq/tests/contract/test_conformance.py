# SPDX-License-Identifier: Apache-2.0
"""Dramatiq passes the contract: on Redis in full, on RabbitMQ what differs there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pika
import pytest

from z4j_agent.conformance import AdapterContract, Harness, Outcome, wait_for
from z4j_agent.conformance.brokers.rabbitmq import start_rabbitmq
from z4j_agent.conformance.harness import BASIC
from z4j_dramatiq.adapter import DramatiqAdapter

APPS = Path(__file__).resolve().parents[1] / "apps"


class DramatiqHarness(Harness):
    adapter = DramatiqAdapter
    worker_options: ClassVar[Mapping[str, str]] = {"prefetch": "2 per thread", "encoder": "dramatiq.encoder.JSONEncoder"}
    outcomes: ClassVar[Mapping[str, Outcome]] = {
        "succeed": Outcome("succeeded", args=("value",)),
        "succeed_async": Outcome("succeeded", args=("value",)),
        "fail": Outcome("failed", args=("no such door",), error_type="ValueError"),
        "fail_async": Outcome("failed", args=("no such door",), error_type="ValueError"),
        "retry": Outcome("succeeded", attempts=2),
        "give_up": Outcome("failed", attempts=2, error_type="OSError"),
        "asks_to_be_retried": Outcome("succeeded", attempts=2),
        "throws": Outcome("failed", error_type="KeyError"),
        "wait": Outcome("succeeded", args=(0.05,)),
        "log": Outcome("succeeded", args=(42, "hunter2")),
        "secret": Outcome("succeeded", args=("eve", "hunter2")),
        "note": Outcome("succeeded", args=(42, "hunter2")),
        "note_async": Outcome("succeeded", args=(42, "hunter2")),
        "spawn": Outcome("succeeded"),
        "spawn_async": Outcome("succeeded"),
        "time_limit": Outcome("failed", "time_limit", error_type="TimeLimitExceeded"),
        "time_limit_survived": Outcome("succeeded"),
        "unknown": Outcome("rejected", "unknown_task", is_received=False, is_started=False),
        "late": Outcome("expired", is_started=False, options={"as": "succeed", "max_age": 1, "delay_s": 0.1}, args=("too late",)),
    }
    names: ClassVar[Mapping[str, str]] = {"late": "succeed"}
    queue = "work"

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        self.broker_url = ""

    def environment(self) -> dict[str, str]:
        return super().environment() | {"BROKER_URL": self.broker_url, "PYTHONPATH": str(APPS)}

    def set_up(self) -> None:
        self.broker_url = f"redis://127.0.0.1:{self.start_valkey()}/0"

    def start_worker(self) -> subprocess.Popen[bytes]:
        count = self.log("worker").count("ready for action")
        command = [sys.executable, "-m", "dramatiq", "engine_app", "--processes", "1", "--threads", "4"]
        worker = self.start("worker", command, cwd=self.folder)
        wait_for(lambda: self.log("worker").count("ready for action") > count, "the worker is ready", seconds=30)
        return worker

    def tear_down(self) -> None:
        """At once: a worker that is asked to end takes seconds, and how it ends has a test of its own."""
        for process in self.processes:
            if process.poll() is None and isinstance(process.args, list) and "dramatiq" in process.args:
                os.killpg(process.pid, signal.SIGKILL)
        super().tear_down()

    def enqueue(self, kind: str, *args: Any, delay_s: float = 0, **options: Any) -> str:
        keys = {"as", "max_age"} & options.keys()
        send = {key: options.pop(key) for key in keys}
        kind = send.pop("as", kind)
        if delay_s:
            send["delay"] = int(delay_s * 1000)
        return self.ask_producer([sys.executable, APPS / "engine_app.py"], [kind, args, options, send])


class TestRedis(AdapterContract):
    harness_class = DramatiqHarness


class RabbitmqHarness(DramatiqHarness):
    """All harnesses share one node, since one takes seconds to start; each finds its queues empty."""

    outcomes: ClassVar[Mapping[str, Outcome]] = {
        kind: outcome for kind, outcome in DramatiqHarness.outcomes.items() if kind in (*BASIC, "give_up", "unknown", "late")
    }
    port: ClassVar[int] = 0

    def set_up(self) -> None:
        self.broker_url = f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"
        connection = pika.BlockingConnection(pika.URLParameters(self.broker_url))
        for beside in ("", ".DQ", ".XQ"):
            connection.channel().queue_delete(self.queue + beside)
        connection.close()


@pytest.mark.long
@pytest.mark.rabbitmq
class TestRabbitmq(AdapterContract):
    """What could differ there; the other kinds of task never touch the broker in between."""

    harness_class = RabbitmqHarness

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def node(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        holder = Harness(tmp_path_factory.mktemp("rabbitmq"), "")
        try:
            RabbitmqHarness.port = start_rabbitmq(holder)
            yield
        finally:
            holder.tear_down()
