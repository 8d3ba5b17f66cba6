# SPDX-License-Identifier: Apache-2.0
"""Two brokers of one process, both with taskiq's default queue name, in two Redis databases."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import redis
import two_app
from taskiq import InMemoryBroker
from taskiq_aio_pika import AioPikaBroker
from taskiq_redis import ListQueueBroker, ListQueueSentinelBroker

import z4j_agent
import z4j_taskiq
from z4j_agent.conformance.brokers.two_brokers import BOTH, KnownToBothContract, TwoAsyncBrokers
from z4j_agent.conformance.gateway import Gateway
from z4j_agent.contract.adapter import QueueInfo
from z4j_agent.spool.cancelled_ids import CancelledIds
from z4j_taskiq.adapter import TaskiqAdapter
from z4j_taskiq.brokers.broker_identity import identity_of
from z4j_taskiq.queues import _rabbitmq


class TwoLists(TwoAsyncBrokers):
    engine = "taskiq"
    queue = "taskiq"

    def set_up(self) -> None:
        self.port = self.start_valkey()
        self.variables["TWO_PORT"] = str(self.port)

    def connect(self, gateway: Gateway) -> None:
        self.start_loop()
        self.made = [two_app.make(which, self.port, str(self.folder)) for which in BOTH]
        for broker, _ in self.made:
            z4j_taskiq.install(broker, **self.options(gateway))
            self.run(broker.startup())

    def disconnect(self) -> None:
        for broker, _ in self.made:
            self.run(broker.shutdown())
            z4j_taskiq.uninstall(broker)
        self.stop_loop()

    def send(self, which: int, value: str, *, delay_s: float = 0, task_id: str = "") -> str:
        _, task = self.made[which]
        kicker = task.kicker().with_task_id(task_id) if task_id else task.kicker()
        return str(self.run(kicker.kiq(value)).task_id)

    def start_worker_of(self, which: int) -> subprocess.Popen[bytes]:
        app = f"two_app:{('first', 'second')[which]}"
        command = [sys.executable, "-m", "taskiq", "worker", app, "--workers", "1"]
        return self.start(f"worker-{which}", command, cwd=Path(__file__).resolve().parents[1] / "apps")

    def depth(self, which: int) -> int:
        with redis.Redis(port=self.port, db=which) as client:
            return int(client.llen(self.queue))  # type: ignore[arg-type]


class TestTwoLists(KnownToBothContract):
    harness_class = TwoLists
    can = frozenset({"prioritise_task", "peek_queue", "purge_queue"})

    def test_a_cancellation_is_of_one_broker(self, gateway: Gateway, two: TwoLists, tmp_path: Path) -> None:
        """In workers of both: an id of the application's own may be in each."""
        names = self.brokers(gateway, two)
        for which in BOTH:
            two.send(which, "invoice", task_id="invoice-17")
        agent = z4j_agent.current()
        assert agent is not None
        (adapter,) = agent.adapters
        assert isinstance(adapter, TaskiqAdapter)
        for state in adapter.states:
            state.receiver = object()  # as if a worker of each listened here
        status, facts = self.ask(gateway, two, "cancel_task", task_id="invoice-17")
        assert (status, facts.get("check")) == ("refused", "broker.unknown"), facts
        status, facts = self.ask(gateway, two, "cancel_task", task_id="invoice-17", broker=names[1])
        assert status == "done", facts
        assert [two.depth(which) for which in BOTH] == [2, 1]
        skips = CancelledIds(tmp_path / "taskiq.cancelled")
        skips.add("invoice-18", names[1])
        again = CancelledIds(tmp_path / "taskiq.cancelled")
        assert [again.has("invoice-18", name) for name in names] == [False, True]
        for state in adapter.states:
            state.receiver = None


def test_a_broker_is_named_by_what_leads_to_it_and_never_by_a_credential(tmp_path: Path) -> None:
    gateway = Gateway()
    gateway.start()
    first = ListQueueBroker("redis://127.0.0.1:6379/0")
    try:
        z4j_taskiq.install(first, url=gateway.url, spool=tmp_path / "spool", environment="test")
        agent = z4j_agent.current()
        assert agent is not None
        named = [
            identity_of(ListQueueBroker("redis://user:hunter2@cache.internal:6380/3")),
            identity_of(ListQueueSentinelBroker([("a", 1)], "master", password="hunter2")),
            identity_of(AioPikaBroker("amqp://user:hunter2@rabbit.internal/shop")),
            identity_of(AioPikaBroker(host="rabbit.internal", port=5672, virtualhost="shop", password="hunter2")),
            identity_of(InMemoryBroker()),
            identity_of(first),
        ]
        assert named == [
            "redis://cache.internal:6380/3", "redis+sentinel://master:1/0", "amqp://rabbit.internal:5672/shop",
            "amqp://rabbit.internal:5672/shop", "", f"redis://localhost:6379/0@{agent.host}",
        ]  # fmt: skip
    finally:
        z4j_taskiq.uninstall(first)
        z4j_agent.stop()
        gateway.stop()


def test_depths_are_unknown_before_the_broker_has_connected() -> None:
    """The agent may look between the start of a worker's loop and the end of `startup`."""
    depths = asyncio.run(_rabbitmq(AioPikaBroker("amqp://127.0.0.1:1/"), ["work", "mail"]))
    assert depths == [QueueInfo("work", None), QueueInfo("mail", None)]
