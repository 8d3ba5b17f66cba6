# SPDX-License-Identifier: Apache-2.0
"""A task, a broker and a worker see the same with and without us: labels, bytes' meaning, how `listen` is closed and what it raises."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from taskiq import Context, InMemoryBroker, SimpleRetryMiddleware, TaskiqDepends
from taskiq.receiver import Receiver

import z4j_agent
import z4j_taskiq
from z4j_agent.conformance import Gateway
from z4j_taskiq.messages import MARK

SEEN: list[Any] = []


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Path]:
    SEEN.clear()
    yield tmp_path / "spool"
    z4j_agent.stop(0.1)


def watch(broker: Any, spool: Path) -> None:
    z4j_taskiq.install(broker, url=Gateway().url, spool=spool, environment="test")


class Lasting(InMemoryBroker):
    """Keeps the bytes it was given, as a queue does."""

    def __init__(self) -> None:
        super().__init__(await_inplace=True)
        self.sent: list[bytes] = []

    async def kick(self, message: Any) -> None:
        self.sent.append(message.message)
        await super().kick(message)


def lasting() -> Any:
    broker = Lasting().with_middlewares(SimpleRetryMiddleware(default_retry_count=2))

    @broker.task("look", retry_on_error=True, tenant="t1")
    async def look(count: int, context: Context = TaskiqDepends()) -> None:  # noqa: B008 -- taskiq's way
        SEEN.append(json.loads(context.message.model_dump_json(exclude={"task_id"})))
        if len(SEEN) < count:
            raise ValueError("again")

    return broker


def sent_by(broker: Any) -> list[Any]:
    async def send() -> None:
        await broker.startup()
        await broker.find_task("look").kicker().with_task_id("one").kiq(2)
        await asyncio.sleep(0.1)

    SEEN.clear()
    asyncio.run(send())
    return list(SEEN)


async def taken_by(broker: Any, raw: bytes) -> list[Any]:
    SEEN.clear()
    await Receiver(broker, run_startup=False).callback(raw)
    return list(SEEN)


def test_a_task_sees_the_same_message_from_any_producer_in_any_worker(spool: Path) -> None:
    bare = lasting()
    expected = sent_by(bare)
    assert [seen["labels"].get("_retries") for seen in expected] == [None, 1] or len(expected) == 2
    watched = lasting()
    watch(watched, spool)
    assert sent_by(watched) == expected
    assert all(raw.endswith(MARK) for raw in watched.sent), "the producer has told the arguments, a retry too"
    assert [json.loads(raw) for raw in watched.sent] == [json.loads(raw) for raw in bare.sent]
    for raw in watched.sent[:1]:
        assert asyncio.run(taken_by(lasting(), raw))[:1] == expected[:1], "an unwatched worker"
        assert asyncio.run(taken_by(watched, raw.rstrip()))[:1] == expected[:1], "of an unwatched producer"
        old = json.loads(raw)
        old["labels"] |= {"z4j": "1", "z4j_retry_of": "x"}
        old["labels_types"] = {**(old["labels_types"] or {}), "z4j": 3, "z4j_retry_of": 3}
        assert asyncio.run(taken_by(watched, json.dumps(old).encode()))[:1] == expected[:1], "of an older agent"


# -- listen ----------------------------------------------------------------------------------------------------------------
class Listening(InMemoryBroker):
    """`listen` in a form of its own: no generator, with an end that raises."""

    def __init__(self, end: Exception | None) -> None:
        super().__init__()
        self.end, self.closed = end, 0

    def listen(self) -> Any:
        return Messages(self)


class Messages:
    def __init__(self, broker: Listening) -> None:
        self._broker = broker

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await asyncio.sleep(3600)
        return b""

    async def aclose(self) -> None:
        self._broker.closed += 1
        if self._broker.end is not None:
            raise self._broker.end


class Generating(Listening):
    async def listen(self) -> Any:  # type: ignore[override]
        try:
            await asyncio.sleep(0)
            while True:
                yield self.formatter.dumps(self.find_task("nap").kicker()._prepare_message()).message
        finally:
            self.closed += 1
            if self.end is not None:
                raise self.end


async def nap() -> None:
    await asyncio.sleep(0.3)


def ended(broker: Any) -> str:
    broker.register_task(nap, task_name="nap")

    async def work() -> None:
        end = asyncio.Event()
        listening = asyncio.create_task(
            Receiver(broker, max_async_tasks=1, max_prefetch=0, run_startup=False).listen(end)  # type: ignore[arg-type]
        )
        await asyncio.sleep(0.5)
        end.set()
        await asyncio.wait_for(listening, 10)

    try:
        asyncio.run(work())
    except Exception as error:
        return repr(error)
    return "nothing raised"


@pytest.mark.parametrize("kind", [Listening, Generating])
@pytest.mark.parametrize("end", [None, RuntimeError("the consumer could not be closed")])
def test_listen_is_closed_and_its_error_passed_on(kind: type[Listening], end: Exception | None, spool: Path) -> None:
    plain, watched = kind(end), kind(end)
    expected = ended(plain)
    watch(watched, spool)
    assert ended(watched) == expected
    assert watched.closed == plain.closed == 1


# -- coming and going --------------------------------------------------------------------------------------------------------
def test_what_another_library_put_on_later_stays(spool: Path) -> None:
    broker = lasting()
    plain = Receiver.callback
    watch(broker, spool)
    ours, calls = Receiver.callback, []

    async def theirs(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return await ours(self, *args, **kwargs)

    Receiver.callback = theirs  # type: ignore[method-assign]
    own = broker.kick

    async def their_kick(message: Any) -> None:
        await own(message)

    broker.kick = their_kick
    try:
        z4j_taskiq.uninstall(broker)
        assert (Receiver.callback, broker.kick) == (theirs, their_kick)
        assert "listen" not in vars(broker)
        sent_by(broker)
        assert calls, "it works without us"
        assert not any(raw.endswith(MARK) for raw in broker.sent)
    finally:
        Receiver.callback = plain  # type: ignore[method-assign]


def test_stopped_and_installed_again(spool: Path) -> None:
    broker = lasting()
    watch(broker, spool)
    z4j_agent.stop(0.1)
    assert {"kick", "listen"}.isdisjoint(vars(broker))
    watch(broker, spool)
    assert {"kick", "listen"} <= vars(broker).keys()
    sent_by(broker)
    assert broker.sent[0].endswith(MARK)
