# SPDX-License-Identifier: Apache-2.0
"""What operators may ask of taskiq on a Redis list, proved by what its own workers then do; and what of a stream."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
import taskiq_redis
from test_conformance import APPS, ListHarness

from z4j_agent.conformance import FailuresContract, Gateway, Harness, OperateContract, wait_for


class OneHarness(ListHarness):
    """One process that runs one task and fetches none in advance, so that the order of execution is the order of the queue."""

    def start_worker(self) -> subprocess.Popen[bytes]:
        return self.start_on("worker")

    def start_on(self, name: str, **more: str) -> subprocess.Popen[bytes]:
        count = self.log(name).count("Listening started")
        limits = ["--workers", "1", "--max-async-tasks", "1", "--max-prefetch", "1"]
        before = dict(os.environ)
        os.environ.update(more)
        try:
            worker = self.start(name, [sys.executable, "-m", "taskiq", "worker", "engine_app:broker", *limits], cwd=APPS)
        finally:
            os.environ.clear()
            os.environ.update(before)
        wait_for(lambda: self.log(name).count("Listening started") > count, "the worker is ready", seconds=30)
        return worker

    def enqueue(self, kind: str, *args: Any, delay_s: float = 0, **options: Any) -> str:
        return self.send(kind, args, options, {})


class TestList(OperateContract):
    harness_class = OneHarness
    other_queue: ClassVar[str] = "other"

    def start_other_worker(self, running: Harness) -> None:
        assert isinstance(running, OneHarness)
        running.start_on("other-worker", QUEUE_NAME="other")


class StreamHarness(OneHarness):
    broker = "stream"


@pytest.mark.skipif(not hasattr(taskiq_redis, "RedisStreamBroker"), reason="this taskiq-redis has no streams")
def test_a_stream_is_looked_into_and_purged(tmp_path: Path) -> None:
    """Of what no consumer was given; a paused worker of a stream holds the one message it was given, so the contract's pause is not its."""
    gateway = Gateway()
    gateway.start()
    harness = StreamHarness(tmp_path, gateway.url)
    try:
        harness.set_up()
        tasks = [harness.enqueue("succeed", number) for number in range(3)]
        producer = [sys.executable, APPS / "engine_app.py"]
        shown = json.loads(harness.ask_producer(producer, ["adapter.peek_queue", "work", "waiting", 10]))
        assert [(entry[0], entry[1], entry[2]) for entry in shown] == [(id, "contract.succeed", f"[{n}]") for n, id in enumerate(tasks)]
        assert json.loads(harness.ask_producer(producer, ["adapter.purge_queue", "work", "waiting"]))["tasks"] == 3
        assert json.loads(harness.ask_producer(producer, ["adapter.peek_queue", "work", "waiting", 10])) == []
        for task_id in tasks:
            end = wait_for(lambda id=task_id: [r for r in gateway.records(id) if r.kind == "cancelled"], "it is reported")  # type: ignore[misc]
            assert end[0].rest["reason"] == "purged"
    finally:
        harness.tear_down()
        gateway.stop()


@pytest.mark.long
class TestFailures(FailuresContract):
    harness_class = OneHarness
    other_queue: ClassVar[str] = "other"
