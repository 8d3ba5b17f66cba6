# SPDX-License-Identifier: Apache-2.0
"""A pause of a queue in one of two Redis databases, and of one whose workers take from both."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.timeouts import TimerDeathPenalty

import z4j_rq
from z4j_agent.commands import paused_queues as stored
from z4j_agent.commands.paused_queues import PausedQueues
from z4j_agent.conformance.brokers.pauses import PausesContract
from z4j_agent.conformance.brokers.two_brokers import TwoBrokers
from z4j_agent.conformance.gateway import Gateway
from z4j_rq.job_hooks.patches import Patches
from z4j_rq.pausing import Pausing


class TwoDatabases(TwoBrokers):
    engine = "rq"
    queue = "work"

    def set_up(self) -> None:
        self.port = self.start_valkey()

    def connect(self, gateway: Gateway) -> None:
        z4j_rq.install(**self.options(gateway))
        self.queues = [Queue(self.queue, connection=Redis(port=self.port, db=which)) for which in (0, 1)]

    def disconnect(self) -> None:
        z4j_rq.uninstall()
        for queue in self.queues:
            queue.connection.close()

    def send(self, which: int, value: str, *, delay_s: float = 0, task_id: str = "") -> str:
        return str(self.queues[which].enqueue("two_app.note", value).id)

    def start_worker_of(self, which: int) -> subprocess.Popen[bytes]:
        self.variables["TWO_WHICH"] = str(which)
        url = f"redis://127.0.0.1:{self.port}/{which}"
        command = [sys.executable, "-m", "rq.cli", "worker", "-c", "two_app", "--url", url, self.queue]
        return self.start(f"worker-{which}", command, cwd=Path(__file__).resolve().parents[1] / "apps")

    def depth(self, which: int) -> int:
        return len(self.queues[which])


class TestPauses(PausesContract):
    harness_class = TwoDatabases


def taken(queues: list[Queue]) -> Any:
    return Queue.dequeue_any(queues, None, connection=queues[0].connection, death_penalty_class=TimerDeathPenalty)


def test_a_worker_of_two_databases_goes_on_with_the_one_that_is_not_paused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Queues of one name in two Redis databases given to one look: only those that are not paused are asked, each in its own Redis."""
    holder = TwoDatabases(tmp_path, "")
    paused_queues = PausedQueues(tmp_path, "rq")
    monkeypatch.setattr(stored, "paused_queues_of", lambda engine: paused_queues)
    try:
        holder.set_up()
        queues = [Queue("work", connection=Redis(port=holder.port, db=which)) for which in (0, 1)]
        sent = [queue.enqueue("time.sleep", 0).id for queue in queues]
        pausing = Pausing(lambda connection: str(connection.connection_pool.connection_kwargs.get("db")))
        patches = Patches()
        pausing.connect(patches)
        try:
            paused_queues.pause("work", "0")
            assert taken(queues[:1]) is None
            job_and_queue = taken(queues[1:])
            assert job_and_queue is not None
            assert job_and_queue[0].id == sent[1]
            assert len(queues[0]) == 1
            paused_queues.resume("work", "0")
            job_and_queue = taken(queues[:1])
            assert job_and_queue is not None
            assert job_and_queue[0].id == sent[0]
        finally:
            patches.restore()
            for queue in queues:
                queue.connection.close()
    finally:
        holder.tear_down()
