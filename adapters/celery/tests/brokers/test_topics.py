# SPDX-License-Identifier: Apache-2.0
"""Exchanges with bindings: what is sent is shown in the queue that receives it, and no routing key is taken for a queue."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from celery import Celery
from kombu import Exchange, Queue, binding

from z4j_agent.conformance import wait_for
from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import Harness
from z4j_celery.brokers.destinations import Routes

APPS = Path(__file__).resolve().parents[1] / "apps"


KINDS = {"enqueued", "received", "started", "succeeded"}
"""What two processes report, in any order."""


class TopicHarness(Harness):
    port = 0

    def environment(self) -> dict[str, str]:
        return super().environment() | {"PYTHONPATH": str(APPS), "C_FORCE_ROOT": "1", "BROKER_URL": f"redis://127.0.0.1:{self.port}/0"}


def test_a_task_is_in_the_queue_that_receives_it(tmp_path: Path) -> None:
    gateway = Gateway()
    gateway.start()
    harness = TopicHarness(tmp_path, gateway.url)
    try:
        harness.port = harness.start_valkey()
        celery = [sys.executable, "-m", "celery", "-A", "topic_app", "worker", "--loglevel", "INFO", "-n", "w1@test", "-c", "1"]
        harness.start("worker", celery, cwd=tmp_path)
        wait_for(lambda: " ready." in harness.log("worker"), "the worker is ready", seconds=60)
        for name, queue in (("add", "default"), ("feed", "feed_tasks")):
            task_id = harness.ask_producer([sys.executable, "-c", "import topic_app; topic_app.serve()"], name)
            wait_for(lambda id=task_id: {record.kind for record in gateway.records(id)} >= KINDS, f"{name} is reported")  # type: ignore[misc]
            queues = {record.kind: record.queue for record in gateway.records(task_id)}
            assert set(queues.values()) == {queue}
        assert not [record for record in gateway.decoded() if record[0] == "fault"]
    finally:
        harness.tear_down()
        gateway.stop()


@pytest.fixture(scope="module")
def routes() -> Routes:
    app = Celery("routes", broker="memory://", set_as_current=False)
    logs, shop = Exchange("logs", type="topic"), Exchange("shop", type="direct")
    app.conf.task_queues = [
        Queue("all", logs, routing_key="#"),
        Queue("errors", logs, routing_key="*.error"),
        Queue("orders", shop, routing_key="order"),
        Queue("news", Exchange("news", type="fanout")),
        Queue("both", [binding(shop, routing_key="refund"), binding(logs, routing_key="refund.#")]),
    ]
    return Routes(app)


@pytest.mark.parametrize(("exchange", "key", "consumed", "queue"), [
    ("", "orders", (), "orders"),
    ("orders", "orders", (), "orders"),
    ("shop", "order", (), "orders"),
    ("shop", "refund", (), "both"),
    ("shop", "nothing", (), ""),
    ("logs", "web.error", (), "all"),
    ("logs", "web.info", ("errors",), "all"),
    ("logs", "refund.late", ("both",), "both"),
    ("news", "whatever", (), "news"),
    ("elsewhere", "key", (), ""),
])  # fmt: skip
def test_which_queue_gets_a_key(routes: Routes, exchange: str, key: str, consumed: tuple[str, ...], queue: str) -> None:
    assert routes.queue(exchange, key, consumed) == queue
