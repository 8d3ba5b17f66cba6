# SPDX-License-Identifier: Apache-2.0
"""The stub broker of Dramatiq's guide to unit tests, in this one process: producer, broker and worker at once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import CurrentMessage
from dramatiq.worker import Worker

import z4j_agent
import z4j_dramatiq
from z4j_agent.capture.guard import faults
from z4j_agent.conformance.gateway import Gateway, Record
from z4j_agent.conformance.harness import wait_for


@dataclass
class Stub:
    gateway: Gateway
    broker: StubBroker

    def actor(self, function: Any, **options: Any) -> Any:
        return dramatiq.actor(**{"broker": self.broker, "max_retries": 0, "min_backoff": 20, **options})(function)

    def record_of(self, task_id: str, kind: str) -> Record:
        return wait_for(lambda: [r for r in self.gateway.records(task_id) if r.kind == kind], f"{kind} of {task_id}")[0]


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[Stub]:
    gateway, broker = Gateway(), StubBroker()
    gateway.start()
    z4j_dramatiq.install(broker, url=gateway.url, spool=tmp_path, environment="test", allow="all")
    worker = Worker(broker, worker_timeout=50, worker_threads=2)
    before = faults.total
    try:
        worker.start()
        yield Stub(gateway, broker)
        assert faults.total == before, faults.by_operation
    finally:
        worker.stop()
        z4j_dramatiq.uninstall(broker)
        z4j_agent.stop()
        gateway.stop()


def test_a_test_s_tasks_are_told(stub: Stub) -> None:
    add = stub.actor(lambda a, b: a + b, actor_name="add")
    sent = add.send(2, 3)
    stub.broker.join("default", timeout=5_000)
    assert stub.record_of(sent.message_id, "succeeded").rest["result"] == "5"
    assert stub.record_of(sent.message_id, "enqueued").meta["code"].startswith(f"{__name__}:")
    assert sent.options == {}


def test_a_failure_is_raised_where_the_test_waits(stub: Stub) -> None:
    def fail() -> None:
        raise ZeroDivisionError("no")

    sent = stub.actor(fail, max_retries=1).send()
    with pytest.raises(ZeroDivisionError):
        stub.broker.join("default", timeout=5_000, fail_fast=True)
    assert stub.record_of(sent.message_id, "retried").attempt == 0
    failed = stub.record_of(sent.message_id, "failed")
    assert (failed.attempt, failed.rest["error_type"]) == (1, "ZeroDivisionError")


@pytest.mark.parametrize("delay", [None, 100])
def test_an_actor_that_sends_its_own_message_again_is_retried(stub: Stub, delay: int | None) -> None:
    stub.broker.add_middleware(CurrentMessage())
    runs: list[int] = []

    def again() -> str:
        runs.append(1)
        if len(runs) < 3:
            message = CurrentMessage.get_current_message()
            assert message is not None
            stub.broker.enqueue(message.copy(), delay=delay)
            return "so far"
        raise ZeroDivisionError("in the end")

    sent = stub.actor(again, actor_name="again").send()
    failed = stub.record_of(sent.message_id, "failed")
    assert (failed.attempt, failed.rest["error_type"]) == (2, "ZeroDivisionError")
    records = stub.gateway.records(sent.message_id)
    retried = [(record.attempt, record.rest["reason"]) for record in records if record.kind == "retried"]
    assert sorted(retried) == [(0, "requeued"), (1, "requeued")]
    assert all((record.rest["eta"] is None) == (delay is None) for record in records if record.kind == "retried")
    assert "succeeded" not in {record.kind for record in records}
    assert sorted(record.attempt for record in records if record.kind == "enqueued") == [0, 1, 2], "threads report side by side"
    assert len([record for record in records if record.kind == "payload"]) == 1


def test_queues_and_running_tasks_are_seen(stub: Stub) -> None:
    go = threading.Event()
    wait = stub.actor(lambda: go.wait(10), actor_name="wait")
    adapter = z4j_dramatiq._installation.part_for(stub.broker)
    sent = wait.send()
    wait.send_with_options(delay=60_000)
    running = wait_for(adapter.list_running, "it runs")
    assert [(run.task_id, run.name, run.queue) for run in running] == [(sent.message_id, "wait", "default")]
    assert adapter.lookup_task(sent.message_id)["state"] == "running"
    assert [(queue.name, queue.dead) for queue in adapter.list_queues()] == [("default", 0)]
    worker = adapter.worker()
    assert worker is not None
    assert (worker.pool, worker.concurrency, worker.queues) == ("threads", 2, ("default",))
    go.set()
    stub.record_of(sent.message_id, "succeeded")


def test_after_uninstall_dramatiq_is_as_it_was(tmp_path: Path) -> None:
    broker = StubBroker()
    before, decode = list(broker.middleware), dramatiq.Message.__dict__["decode"]
    z4j_dramatiq.install(broker, url="z4j+ws://z4a_token@127.0.0.1:9", spool=tmp_path)
    z4j_dramatiq.install(broker, url="z4j+ws://z4a_token@127.0.0.1:9", spool=tmp_path)
    assert [type(each).__name__ for each in broker.middleware].count("Capture") == 1
    assert type(broker.middleware[0]).__name__ == "Capture"
    worker = Worker(broker, worker_timeout=50, worker_threads=1)
    worker.start()
    watched = [type(each).__name__ for each in broker.middleware]
    assert watched[-2:] == ["Fence", "_WorkerMiddleware"]
    assert dramatiq.Message.__dict__["decode"] is not decode
    worker.stop()
    z4j_dramatiq.uninstall(broker)
    z4j_agent.stop()
    assert [each for each in broker.middleware if type(each).__name__ != "_WorkerMiddleware"] == before
    assert dramatiq.Message.__dict__["decode"] is decode


def test_a_broker_without_any_middleware_is_watched_too(tmp_path: Path) -> None:
    broker = StubBroker(middleware=[])
    z4j_dramatiq.install(broker, url="z4j+ws://z4a_token@127.0.0.1:9", spool=tmp_path)
    try:
        assert [type(each).__name__ for each in broker.middleware] == ["Capture"]
    finally:
        z4j_dramatiq.uninstall(broker)
        z4j_agent.stop()
    assert broker.middleware == []


def test_an_old_dramatiq_is_left_alone(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    broker = StubBroker()
    before = list(broker.middleware)
    oldest = ".".join(map(str, z4j_dramatiq.OLDEST))
    monkeypatch.setenv("Z4J_LOG", "logging")
    monkeypatch.setattr(dramatiq, "__version__", "1.9.0")
    with caplog.at_level(logging.ERROR, "z4j_agent"):
        z4j_dramatiq.install(broker, url="z4j+ws://z4a_token@127.0.0.1:9", spool=tmp_path)
    assert [record.getMessage() for record in caplog.records] == [
        f"z4j is disabled: Dramatiq 1.9.0 is older than the oldest supported version {oldest}"
    ]
    assert broker.middleware == before


def test_a_time_limit_that_strikes_in_our_own_code_passes_through(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    from dramatiq.middleware import TimeLimitExceeded

    from z4j_dramatiq import capture

    def struck(*_: Any) -> Any:
        raise TimeLimitExceeded

    sent = stub.actor(lambda: None, actor_name="quick").message()
    with monkeypatch.context() as patched:
        patched.setattr(capture, "calling_code", struck)
        with pytest.raises(TimeLimitExceeded):
            stub.broker.enqueue(sent)
    time.sleep(0.1)
