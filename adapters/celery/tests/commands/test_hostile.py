# SPDX-License-Identifier: Apache-2.0
"""A server that was taken over gets nothing run through Celery that the application did not register, and controls no worker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar

import celery
import pytest
from kombu import Exchange, Queue
from test_conformance import CeleryHarness

from z4j_agent.conformance import HostileServerContract
from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import Harness
from z4j_agent.conformance.hostile_server import Attempt
from z4j_agent.conformance.operations import new_id
from z4j_agent.contract.adapter import Refused
from z4j_celery.brokers.destinations import check_destination, is_control, knows_queue

BODY = json.dumps([["{command}"], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
SHUTDOWN = json.dumps({"method": "shutdown", "arguments": {}, "destination": None})
LIMIT = json.dumps({"method": "rate_limit", "arguments": {"task_name": "engine_app.succeed", "rate_limit": "1/h"}, "destination": None})


class TestHostile(HostileServerContract):
    harness_class = CeleryHarness
    forged: ClassVar[tuple[dict[str, Any], ...]] = (
        {"body": BODY},
        {"body": SHUTDOWN, "exchange": "celery.pidbox", "key": ""},
        {"body": LIMIT, "exchange": "celery.pidbox", "key": ""},
        {"body": "{}", "exchange": "celeryev", "key": "worker.heartbeat"},
        {"body64": "gASVCAAAAAAAAACMBHRlc3SULg==", "type": "application/x-python-serialize", "encoding": "binary"},
    )

    def more_attempts(self, running: Harness, gateway: Gateway, command: str) -> Iterator[Attempt]:
        name = running.name_of("succeed")
        for queue in ("reply.celery.pidbox", "celeryev.abc", "_kombu.binding.work", "unacked", "x.celery.pidbox"):
            params = {"name": name, "args": [1], "kwargs": {}, "queue": queue, "new_id": new_id()}
            yield Attempt(f"run on {queue}", "run_task", params, ("queue.unknown",))
            yield Attempt(f"consume {queue}", "consume_queue", {"queue": queue}, ("queue.unknown",))


@pytest.fixture
def app() -> celery.Celery:
    made = celery.Celery("shop", broker="memory://")
    made.conf.task_queues = [Queue("work"), Queue("orders", Exchange("shop", "topic"), "orders.#")]
    return made


@pytest.mark.parametrize("name", [
    "celery.pidbox", "reply.celery.pidbox", "w1@host.celery.pidbox", "7c0a.reply.celery.pidbox", "celeryev", "celeryev.7c0a",
    "_kombu.binding.work", "unacked", "unacked_index", "celery-task-meta-7c0a", "amq.rabbitmq.trace",
])  # fmt: skip
def test_what_belongs_to_celery_is_no_destination(app: celery.Celery, name: str) -> None:
    assert is_control(app, name)
    assert not knows_queue(app, None, [name], name)
    for exchange, key, queue in ((name, "", "work"), ("", name, "work"), ("", "", name)):
        with pytest.raises(Refused) as refused:
            check_destination(app, exchange, key, queue)
        assert refused.value.check == "queue.control"


def test_control_exchanges_of_the_application_s_own_names(app: celery.Celery) -> None:
    app.conf.control_exchange, app.conf.event_exchange, app.conf.event_queue_prefix = "boss", "news", "news-of"
    for name in ("boss.pidbox", "reply.boss.pidbox", "news", "news-of.1", "news-of"):
        assert is_control(app, name)
    assert not is_control(app, "bossy")


def test_the_application_s_own_destinations(app: celery.Celery) -> None:
    for exchange, key, queue in (("", "", "work"), ("shop", "orders.new", "orders"), ("", "reports", "reports")):
        check_destination(app, exchange, key, queue)
    with pytest.raises(Refused) as refused:
        check_destination(app, "elsewhere", "x", "work")
    assert refused.value.check == "exchange.unknown"
    assert knows_queue(app, None, (), "orders")
    assert knows_queue(app, None, ["reports"], "reports")
    assert not knows_queue(app, None, (), "reports")
