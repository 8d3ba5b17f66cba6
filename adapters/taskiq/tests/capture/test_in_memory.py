# SPDX-License-Identifier: Apache-2.0
"""The hooks themselves, in one process with taskiq's in-memory broker: what other middlewares do to them, and they to nobody."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import datetime
import json
import logging
import secrets
import sys
from collections.abc import Awaitable, Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import pytest
from taskiq import (
    BrokerMessage,
    Context,
    InMemoryBroker,
    SimpleRetryMiddleware,
    TaskiqDepends,
    TaskiqMessage,
    TaskiqMiddleware,
    TaskiqResult,
)
from taskiq.exceptions import SendTaskError
from taskiq.receiver import Receiver
from taskiq.serializers import PickleSerializer

import z4j_agent
import z4j_taskiq
from z4j_agent import wire
from z4j_agent.capture.guard import faults
from z4j_agent.capture.originals import open_original
from z4j_agent.conformance.gateway import Record
from z4j_agent.contract.adapter import Original, Refused
from z4j_taskiq import originals
from z4j_taskiq.messages import attempt_of

NOBODY = "z4j+ws://0123456789abcdef." + base64.urlsafe_b64encode(bytes(32)).decode().rstrip("=") + "@127.0.0.1:9"
ODD: list[Any] = [((1, "two"), [1, "two"])]
if version("taskiq") >= "0.12":  # older ones take no dates
    ODD.append((datetime.date(2026, 11, 23), "2026-11-23"))
METHODS = ("listen", "callback", "run_task")
Story = Callable[[InMemoryBroker], Awaitable[Any]]


class InPlace(InMemoryBroker):
    """Runs a task before its sending returns, as `await_inplace=True` does since taskiq 0.11.15."""

    async def kick(self, message: BrokerMessage) -> None:
        await self.receiver.callback(message=message.message)


class Watched:
    """A broker that is watched while nobody listens, and what stands in the spool."""

    def __init__(self, spool: Path) -> None:
        self.spool = spool
        self.broker = InPlace()
        z4j_taskiq.install(self.broker, url=NOBODY, spool=spool, is_plaintext_allowed=True)

    def run(self, story: Story) -> Any:
        async def whole() -> Any:
            await self.broker.startup()
            try:
                return await story(self.broker)
            finally:
                await self.broker.shutdown()

        return asyncio.run(whole())

    def records(self, *kinds: str) -> list[Record]:
        agent = z4j_agent.current()
        assert agent is not None
        agent.drain_offered()
        lines = [line for path in sorted(self.spool.rglob("*.seg")) for line in path.read_bytes().split(b"\x1e") if line]
        reported = [Record.of(entry) for line in lines if (entry := json.loads(line))[0] in wire.TASK_RECORDS]
        return [record for record in reported if not kinds or record.kind in kinds]

    def original(self, payload: Record) -> Original:
        agent = z4j_agent.current()
        assert agent is not None
        key_id, blob = payload.rest["original"]
        keys = (agent.settings.seal_key,) if agent.settings.seal_key else ()
        environment = agent.settings.environment
        opened = open_original(base64.b64decode(blob), "taskiq", payload.task_id, environment, key_id=key_id, keys=keys)
        return Original(payload.task_id, payload.name, payload.queue, opened.data)


async def no_database() -> str:
    raise ConnectionError("no database")


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    before = faults.total
    made = Watched(tmp_path / "spool")
    yield made
    z4j_taskiq.uninstall(made.broker)
    z4j_agent.stop(0.1)
    assert faults.total == before


def test_a_receipt_has_a_record_where_the_task_may_wait(watched: Watched) -> None:
    @watched.broker.task("ready")
    async def ready() -> None:
        pass

    @watched.broker.task("threaded")
    def threaded() -> None:
        pass

    @watched.broker.task("dependent")
    async def dependent(_: Annotated[str, TaskiqDepends(lambda: "it")]) -> None:
        pass

    async def twice(_: Any) -> None:
        for task in (ready, threaded, dependent) * 2:
            await task.kiq()

    watched.run(twice)
    received = [record.name for record in watched.records("received")]
    assert [received.count(name) for name in ("ready", "threaded", "dependent")] == [1, 2, 2], "its receiver has read `ready` by then"
    assert len(watched.records("started")) == 6
    for end in watched.records("succeeded"):
        assert end.rest["received_at"] <= end.rest["started_at"]


def test_a_task_in_its_own_process_is_eager(watched: Watched) -> None:
    @watched.broker.task("inner")
    async def inner(number: int) -> int:
        return number + 1

    @watched.broker.task("outer")
    async def outer() -> int:
        return (await (await inner.kiq(41)).wait_result()).return_value

    assert watched.run(lambda _: outer.kiq()) is not None
    reported = {(record.kind, record.name): record for record in watched.records()}
    kinds = {kind for kind, _ in reported}  # `received`: the receiver has not read yet which dependencies a new task has
    assert kinds == {"enqueued", "payload", "received", "started", "succeeded"}
    assert {name for kind, name in reported if kind == "payload"} == {"inner", "outer"}
    assert reported["succeeded", "outer"].meta["eager"] is True
    assert reported["succeeded", "inner"].rest["result"] == "42"
    assert reported["enqueued", "inner"].meta["parent_id"] == reported["succeeded", "outer"].task_id
    assert reported["enqueued", "inner"].meta["code"].endswith(f":{outer.original_func.__code__.co_firstlineno + 2}")


def test_the_order_of_middlewares_does_not_matter(watched: Watched) -> None:
    watched.broker.add_middlewares(SimpleRetryMiddleware(default_retry_count=2, default_retry_label=True))

    @watched.broker.task("fail")
    def fail() -> None:
        raise OSError("always")

    watched.run(lambda _: fail.kiq())
    ends = [(record.kind, record.attempt, record.rest["error"]) for record in watched.records("retried", "failed")]
    assert sorted(ends) == [("failed", 1, "always"), ("retried", 0, "always")]


@pytest.mark.parametrize("hook", ["pre_execute", "on_error"])
def test_a_task_dropped_for_another_middleware_has_failed(watched: Watched, hook: str) -> None:
    async def raise_it(self: Any, *_: Any) -> None:
        raise RuntimeError(f"{hook} of somebody else")

    watched.broker.add_middlewares(type("Clumsy", (TaskiqMiddleware,), {hook: raise_it})())

    @watched.broker.task("fail")
    async def fail() -> None:
        raise ValueError("its own")

    with pytest.raises(SendTaskError) as caught:
        watched.run(lambda _: fail.kiq())
    assert str(caught.value.__cause__) == f"{hook} of somebody else"
    ends = watched.records("failed", "succeeded", "lost")
    assert [(end.rest["reason"], end.rest["error"]) for end in ends] == [("hook_raised", f"{hook} of somebody else")]
    assert len(watched.records("started")) == (hook == "on_error")


def test_a_dependency_that_raises_fails_the_task_before_it_runs(watched: Watched) -> None:
    @watched.broker.task("query")
    async def query(where: Annotated[str, TaskiqDepends(no_database)]) -> str:
        return where

    watched.run(lambda _: query.kiq())
    (end,) = watched.records("failed")
    assert (end.rest["error_type"], end.rest["error"], end.rest["started_at"]) == ("ConnectionError", "no database", None)
    assert watched.records("started") == []


def test_a_task_that_exits_has_failed(watched: Watched) -> None:
    @watched.broker.task("leave")
    async def leave() -> None:
        sys.exit(3)

    watched.run(lambda _: leave.kiq())
    (end,) = watched.records("failed")
    assert (end.rest["error_type"], end.rest["error"]) == ("SystemExit", "3")


def test_a_hook_that_is_broken_breaks_no_task(watched: Watched, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything of ours that taskiq calls finds its agent gone."""
    monkeypatch.setenv("Z4J_LOG", "logging")
    (capture,) = z4j_taskiq._installation.part_for(watched.broker).captures
    del capture._agent

    @watched.broker.task("inner")
    def inner(number: int) -> int:
        return number * 2

    @watched.broker.task("fail")
    async def fail(context: Context = TaskiqDepends()) -> None:  # noqa: B008
        raise ValueError(context.message.task_name)

    async def story(_: InMemoryBroker) -> tuple[TaskiqResult[Any], TaskiqResult[Any]]:
        return await (await inner.kiq(21)).wait_result(), await (await fail.kiq()).wait_result()

    before = faults.total
    good, bad = watched.run(story)
    assert (good.return_value, good.is_err) == (42, False)
    assert isinstance(bad.error, ValueError)
    assert watched.records() == []
    assert faults.total > before
    faults.total = before
    assert "the application is not affected" in caplog.text


@pytest.mark.parametrize(("given", "travels"), ODD)
def test_what_json_does_not_know_comes_back_as_it_travelled(watched: Watched, given: Any, travels: Any) -> None:
    @watched.broker.task("remind")
    async def remind(what: Any, amount: float) -> None: ...

    watched.run(lambda _: remind.kiq(given, amount=1.5))
    (payload,) = watched.records("payload")
    message = originals.message_again(watched.broker, watched.original(payload), "again")
    assert (message.task_id, message.args, message.kwargs) == ("again", [travels], {"amount": 1.5})


def test_another_serialiser_keeps_the_bytes(watched: Watched) -> None:
    watched.broker.with_serializer(PickleSerializer())

    @watched.broker.task("login")
    async def login(user: str, password: str) -> None: ...

    secret = f"hunter-{secrets.token_hex(8)}"
    watched.run(lambda _: login.kiq("eve", secret))
    (payload,) = watched.records("payload")
    assert (payload.rest["masked"], payload.rest["original_state"]) == (True, "sealed")
    original = watched.original(payload)
    assert original.data.keys() == {"body64"}
    assert originals.message_again(watched.broker, original, "again").args == ["eve", secret]
    with pytest.raises(Refused, match="is of login, not of logout"):
        originals.message_again(watched.broker, dataclasses.replace(original, name="logout", is_bound=False), "again")


def test_a_secret_in_a_label_is_sealed(watched: Watched) -> None:
    @watched.broker.task("plain")
    async def plain(word: str) -> str:
        return word

    watched.run(lambda _: plain.kicker().with_labels(api_key="sesame-4711").kiq("word"))
    (payload,) = watched.records("payload")
    assert (payload.rest["masked"], payload.rest["original_state"]) == (False, "sealed")
    assert watched.original(payload).data["labels"] == {"api_key": "sesame-4711"}


def test_an_original_far_too_large_is_not_even_encoded(watched: Watched) -> None:
    @watched.broker.task("big")
    async def big(words: list[str]) -> None: ...

    watched.run(lambda _: big.kiq(["x" * 1000] * 1000))
    (payload,) = watched.records("payload")
    assert (payload.rest["original_state"], payload.rest["original"]) == ("too_large", None)


def test_uninstalled_nothing_of_ours_is_left(tmp_path: Path) -> None:
    before = {name: Receiver.__dict__[name] for name in METHODS}
    watched = Watched(tmp_path / "spool")
    other = InMemoryBroker()
    z4j_taskiq.install(other, url=NOBODY, spool=tmp_path / "spool", is_plaintext_allowed=True)
    assert {name: Receiver.__dict__[name] for name in METHODS} != before
    z4j_taskiq.uninstall(watched.broker)
    assert watched.broker.middlewares == []
    assert {name: Receiver.__dict__[name] for name in METHODS} != before, "the other broker is still watched"
    z4j_taskiq.uninstall(other)
    assert {name: Receiver.__dict__[name] for name in METHODS} == before
    z4j_agent.stop(0.1)


def test_each_broker_of_a_process_is_asked_for_its_own(watched: Watched) -> None:
    other = InPlace()
    other.queue_name = "elsewhere"  # type: ignore[attr-defined]
    z4j_taskiq.install(other)

    @watched.broker.task("here")
    async def here() -> None: ...

    @other.task("there")
    async def there() -> int:
        return 1

    watched.run(lambda _: here.kiq())
    watched.run(lambda _: there.kiq())
    assert {(record.name, record.queue) for record in watched.records("succeeded")} == {("here", "memory"), ("there", "elsewhere")}
    adapter = z4j_taskiq._installation.part_for(other)
    assert {(task.name, task.queue) for task in adapter.list_tasks()} == {("here", "memory"), ("there", "elsewhere")}
    (payload,) = [record for record in watched.records("payload") if record.name == "there"]

    async def again(_: InMemoryBroker) -> None:
        adapter.states[1].loop = loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, lambda: adapter.retry_task(watched.original(payload), new_id="again"))

    watched.run(again)
    reported = [record for record in watched.records("enqueued", "succeeded") if record.task_id == "again"]
    assert [(record.kind, record.queue) for record in reported] == [("succeeded", "elsewhere"), ("enqueued", "elsewhere")]
    z4j_taskiq.uninstall(other)


def test_an_older_taskiq_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("Z4J_LOG", "logging")
    monkeypatch.setattr(z4j_taskiq._installation, "oldest", (99, 0))
    broker = InMemoryBroker()
    with caplog.at_level(logging.ERROR):
        z4j_taskiq.install(broker, url=NOBODY, spool=tmp_path / "spool", is_plaintext_allowed=True)
    assert [record.message for record in caplog.records if "z4j is disabled" in record.message]
    assert broker.middlewares == []
    assert z4j_agent.current() is None


def test_a_label_that_is_no_number_counts_as_none() -> None:
    message = TaskiqMessage(task_id="1", task_name="x", labels={"_retries": "some", "X-Taskiq-requeue": "2"}, args=[], kwargs={})
    assert attempt_of(message.labels) == 2


def test_what_listen_returns_stays_what_it_is(watched: Watched) -> None:
    """A shared broker's `listen` is a coroutine that raises; a broker of the application's own may return any asynchronous iterable."""

    class Shared(InMemoryBroker):
        async def listen(self) -> Any:  # type: ignore[override]
            raise NotImplementedError

    class Iterable:
        async def __aiter__(self) -> Any:
            yield b"one"

    class Own(InMemoryBroker):
        def listen(self) -> Any:
            return Iterable()

    shared, own = Shared(), Own()
    z4j_taskiq.install(shared)
    z4j_taskiq.install(own)

    async def listen() -> list[bytes]:
        with pytest.raises(NotImplementedError):
            await shared.listen()
        return [message async for message in own.listen()]

    assert asyncio.run(listen()) == [b"one"]
    z4j_taskiq.uninstall(shared)
    z4j_taskiq.uninstall(own)
