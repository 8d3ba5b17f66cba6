# SPDX-License-Identifier: Apache-2.0
"""What an actor reads of its message is what was sent, and an actor that sends its own message again is retried."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from dramatiq.message import Message
from dramatiq.middleware import CurrentMessage
from dramatiq.worker import Worker

import z4j_agent
import z4j_dramatiq
from z4j_agent.capture.guard import faults
from z4j_agent.conformance.gateway import Gateway
from z4j_dramatiq.encoding import message_marks


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    made = Gateway()
    made.start()
    yield made
    made.stop()


class Reader:
    """A broker, its worker and one actor that keeps what it reads of its message."""

    def __init__(self, *, is_watched: bool, gateway: Gateway, folder: Path, broker: StubBroker | None = None) -> None:
        self.broker = broker or StubBroker()
        self.broker.add_middleware(CurrentMessage())
        if is_watched:
            z4j_dramatiq.install(self.broker, url=gateway.url, spool=folder, environment="test", allow="all")
        self.seen: list[dict[str, Any]] = []
        self.worker = Worker(self.broker, worker_timeout=50, worker_threads=1)

        def read(*_args: Any, **_kwargs: Any) -> None:
            message = CurrentMessage.get_current_message()
            assert message is not None
            self.seen.append({**message.asdict(), "attributes": sorted(vars(message._message))})
            if len(self.seen) < 2:
                raise ConnectionError("once more")

        options = {"broker": self.broker, "actor_name": "read", "max_retries": 1, "min_backoff": 20, "max_backoff": 20}
        self.actor = dramatiq.actor(**options)(read)

    def run(self, sent: Message[Any]) -> list[dict[str, Any]]:
        self.broker.enqueue(sent)
        self.worker.start()
        self.broker.join("default", timeout=20_000)
        self.worker.stop()
        volatile = ("message_id", "message_timestamp")
        printed = [{key: value for key, value in seen.items() if key not in volatile} for seen in self.seen]
        for each in printed:
            each["options"] = {key: value for key, value in each["options"].items() if key not in ("requeue_timestamp", "traceback")}
        return printed


def test_an_actor_reads_what_was_sent(gateway: Gateway, tmp_path: Path) -> None:
    """Also at its second attempt, which a worker has sent."""
    seen = []
    for is_watched in (False, True):
        reader = Reader(is_watched=is_watched, gateway=gateway, folder=tmp_path)
        try:
            sent = reader.actor.message_with_options(args=(1, {"deep": [None]}), kwargs={"k": "v"}, tenant="acme")
            seen.append(reader.run(sent))
        finally:
            z4j_dramatiq.uninstall(reader.broker)
            z4j_agent.stop()
    assert len(seen[0]) == 2
    assert seen[1] == seen[0]


def test_what_a_watched_producer_sent_reads_the_same_in_a_worker_that_is_not(gateway: Gateway, tmp_path: Path) -> None:
    producer = Reader(is_watched=True, gateway=gateway, folder=tmp_path)
    sent = producer.actor.message_with_options(args=(1,), tenant="acme")
    producer.broker.enqueue(sent)
    raw = producer.broker.queues["default"].get()
    z4j_dramatiq.uninstall(producer.broker)
    z4j_agent.stop()
    assert raw != sent.encode(), "it carries a mark"
    assert Message.decode(raw) == sent
    assert Message.decode(raw).encode() == sent.encode()


@pytest.mark.parametrize("options", [{"z4j": 1}, {"z4j": 1, "z4j_retry_of": "the-first"}])
def test_the_options_of_an_older_version_are_understood_and_hidden(gateway: Gateway, tmp_path: Path, options: dict[str, Any]) -> None:
    reader = Reader(is_watched=True, gateway=gateway, folder=tmp_path)
    try:
        sent = reader.actor.message_with_options(args=(1,), tenant="acme")
        old = sent.copy(options=options).encode()
        reader.seen.append({})  # so that it does not raise
        reader.broker.queues["default"].put(old)
        reader.worker.start()
        reader.broker.join("default", timeout=20_000)
        reader.worker.stop()
        assert reader.seen[-1]["options"] == {"tenant": "acme"}
    finally:
        z4j_dramatiq.uninstall(reader.broker)
        z4j_agent.stop()
    kinds = [record.kind for record in gateway.records(sent.message_id)]
    assert "payload" not in kinds, "its producer has told it"


def test_marks_survive_what_a_message_goes_through() -> None:
    message: Message[Any] = Message("default", "read", (1,), {}, {})
    for mark in (message_marks.Mark(True), message_marks.Mark(True, 3), message_marks.Mark(True, message_marks.MOST + 5)):
        read = Message.decode(message.encode() + mark.encoded())
        message_marks.read(read, message.encode() + mark.encoded())
        assert (message_marks.of(read).is_reported, message_marks.of(read).again) == (True, min(mark.again, message_marks.MOST))
    for strange in (b"", b" ", b"\n", b" \n", b"\t ", b"\r\n "):
        read = Message.decode(message.encode() + strange)
        message_marks.read(read, message.encode() + strange)
        assert not message_marks.of(read).is_reported, strange
    assert message_marks.of(message) is message_marks.NONE


def test_it_can_be_installed_again_after_it_was_stopped(gateway: Gateway, tmp_path: Path) -> None:
    broker, encode = StubBroker(), Message.encode
    for _ in range(2):
        z4j_dramatiq.install(broker, url=gateway.url, spool=tmp_path, environment="test")
        assert type(broker.middleware[0]).__name__ == "Capture"
        sent = dramatiq.actor(lambda: None, broker=broker, actor_name=f"a{_}").send()
        agent = z4j_agent.current()
        assert agent is not None
        assert agent.flush(5)
        assert [record.kind for record in gateway.records(sent.message_id)][:1] == ["enqueued"]
        z4j_agent.stop()
        assert type(broker.middleware[0]).__name__ != "Capture"
        assert Message.encode is encode
    z4j_dramatiq.uninstall(broker)


def test_what_another_library_put_over_ours_stays(gateway: Gateway, tmp_path: Path) -> None:
    broker, before = StubBroker(), Message.encode
    z4j_dramatiq.install(broker, url=gateway.url, spool=tmp_path, environment="test")
    ours = Message.encode

    def theirs(message: Message[Any]) -> bytes:
        return bytes(ours(message))

    Message.encode = theirs  # type: ignore[method-assign]
    try:
        z4j_dramatiq.uninstall(broker)
        z4j_agent.stop()
        assert Message.encode is theirs
        assert Message("q", "a", (), {}, {}).encode()
        z4j_dramatiq.install(broker, url=gateway.url, spool=tmp_path, environment="test")
        broker.declare_queue("q")
        dramatiq.actor(lambda: None, broker=broker, actor_name="a", queue_name="q").send()
        assert broker.queues["q"].get().endswith(b"}  "), "once, though the first wrapper is still underneath"
        z4j_dramatiq.uninstall(broker)
        z4j_agent.stop()
    finally:
        Message.encode = before  # type: ignore[method-assign]


def test_the_end_of_a_worker_that_the_application_has_made_waits_for_nothing(gateway: Gateway, tmp_path: Path) -> None:
    """Also where no server listens."""
    gateway.stop()
    took = {}
    for is_watched in (False, True):
        reader = Reader(is_watched=is_watched, gateway=gateway, folder=tmp_path)
        try:
            reader.run(reader.actor.message_with_options(args=(1,)))
            began = time.monotonic()
            for _ in range(4):
                worker = Worker(reader.broker, worker_timeout=50, worker_threads=1)
                worker.start()
                worker.stop()
            took[is_watched] = time.monotonic() - began
        finally:
            z4j_dramatiq.uninstall(reader.broker)
            z4j_agent.stop()
    assert took[True] - took[False] < 3, took


def test_one_thread_s_mark_is_not_another_s() -> None:
    message: Message[Any] = Message("default", "read", (1,), {}, {})
    message_marks.send_with(message, message_marks.Mark(True))
    encoded: list[bytes] = []
    thread = threading.Thread(target=lambda: encoded.append(message_marks.encoded(message, b"{}")))
    thread.start()
    thread.join()
    assert (encoded, message_marks.encoded(message, b"{}")) == ([b"{}"], b"{}  ")
    message_marks.sent()
    assert message_marks.encoded(message, b"{}") == b"{}"
    assert not faults.by_operation.get("encoding a message")
