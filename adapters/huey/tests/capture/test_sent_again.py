# SPDX-License-Identifier: Apache-2.0
# mypy: disable-error-code="untyped-decorator"
"""A task that the application itself enqueues anew while it runs, or when it was interrupted: its next attempt."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huey as engine
import pytest
import redis

import z4j_agent
import z4j_huey
from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import Harness, wait_for


class Again(Harness):
    def set_up(self) -> None:
        self.port = self.start_valkey()
        self.variables |= {"TWO_PORT": str(self.port)}

    def start_consumer(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "huey.bin.huey_consumer", "again_app.huey", "-k", "process", "-w", "1", "-d", "0.02", "-n"]
        return self.start("worker", command, cwd=Path(__file__).resolve().parents[1] / "apps")


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    gateway = Gateway()
    gateway.start()
    yield gateway
    gateway.stop()


@pytest.mark.parametrize("slow", ["0", "4"], ids=["at once", "slowly"])
def test_an_interrupted_task_that_is_enqueued_again_is_told_before_its_consumer_has_left(
    gateway: Gateway, tmp_path: Path, slow: str
) -> None:
    made = Again(tmp_path, gateway.url)
    try:
        made.set_up()
        made.variables["AGAIN_SLOW"] = slow
        worker = made.start_consumer()
        task_id = "nap-1"
        sender = "import again_app, sys; again_app.huey.enqueue(again_app.nap.s(60, id=sys.argv[1]))"
        made.variables["PYTHONPATH"] = str(Path(__file__).resolve().parents[1] / "apps")
        if not _takes_ids():
            sender = "import again_app; print(again_app.nap(60).id)"
            sent = subprocess.run([sys.executable, "-c", sender], env=made.environment(), capture_output=True, text=True, check=True)
            task_id = sent.stdout.strip()
        else:
            subprocess.run([sys.executable, "-c", sender, task_id], env=made.environment(), check=True)
        wait_for(lambda: [r for r in gateway.records(task_id) if r.kind == "started"], "it runs", seconds=40)
        worker.send_signal(signal.SIGTERM)
        worker.wait(30)
        reported = [(r.kind, r.attempt) for r in wait_for(lambda: gateway.records(task_id), "it is reported")]
        assert ("lost", 0) in reported or ("retried", 0) in reported, reported
        assert ("enqueued", 1) in reported, reported
        with redis.Redis(port=made.port) as client:
            assert client.llen("huey.redis.work") == 1
        made.variables |= {"AGAIN_SHORT": "1"}
        made.start_consumer()
        wait_for(lambda: [r for r in gateway.records(task_id) if (r.kind, r.attempt) == ("succeeded", 1)], "it runs again", seconds=40)
    finally:
        made.tear_down()


def _takes_ids() -> bool:
    return tuple(int(part) for part in engine.__version__.split(".")[:2]) >= (3, 5)


def test_a_task_that_enqueues_itself_and_returns_is_retried(gateway: Gateway, tmp_path: Path) -> None:
    made: Any = engine.SqliteHuey("again", filename=str(tmp_path / "again.db"))
    z4j_huey.install(made, url=gateway.url, spool=tmp_path / "spool", environment="test", allow="all")
    seen = []

    @made.task(context=True)
    def twice(task: Any = None) -> str:
        seen.append(1)
        if len(seen) == 1:
            made.enqueue(task)
        return "done"

    try:
        task_id = twice().id
        while (task := made.dequeue()) is not None:
            made.execute(task)
        wait_for(lambda: [r for r in gateway.records(task_id) if r.kind == "succeeded"], "its second run ends")
        reported = [
            (r.kind, r.attempt) for r in sorted(gateway.records(task_id), key=lambda r: r.at) if r.kind not in ("payload", "received")
        ]
        assert reported == [
            ("enqueued", 0), ("started", 0), ("enqueued", 1), ("retried", 0), ("started", 1), ("succeeded", 1),
        ]  # fmt: skip
        assert [r.rest["reason"] for r in gateway.records(task_id) if r.kind == "retried"] == ["requeued"]
    finally:
        z4j_huey.uninstall(made)
        z4j_agent.stop()
