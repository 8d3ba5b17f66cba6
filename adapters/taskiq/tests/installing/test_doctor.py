# SPDX-License-Identifier: Apache-2.0
"""Each trap of taskiq is found in a broker that has it, and not in one made as the remedy says."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from importlib.metadata import version

import pytest
from taskiq import AsyncBroker, InMemoryBroker
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend, RedisStreamBroker

from z4j_taskiq.adapter import TaskiqAdapter

URL = "redis://127.0.0.1:9"
RESULTS: RedisAsyncResultBackend[object] = RedisAsyncResultBackend(URL)
TRAPS = {
    "results": (RedisStreamBroker(URL), RedisStreamBroker(URL).with_result_backend(RESULTS), "warning", "no result backend"),
    "trimming": (RedisStreamBroker(URL), RedisStreamBroker(URL, maxlen=1000), "warning", "never trimmed"),
    "takeover": (RedisStreamBroker(URL), RedisStreamBroker(URL, unacknowledged_lock_timeout=60), "warning", "a lock that never expires"),
    "loss": (ListQueueBroker(URL), RedisStreamBroker(URL), "warning", "no acknowledgement"),
    "crash": (ListQueueBroker(URL, socket_timeout=5), ListQueueBroker(URL, socket_timeout=None), "error", "socket timeout"),
    "stopping": (RedisStreamBroker(URL, socket_timeout=5), RedisStreamBroker(URL, socket_timeout=None), "warning", "may not end"),
}
if int(version("redis").partition(".")[0]) >= 8:  # it has a timeout of its own; older ones wait for ever
    TRAPS["crash unasked"] = (ListQueueBroker(URL), ListQueueBroker(URL, socket_timeout=None), "error", "socket timeout")


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_is_found_and_its_remedy_works(trap: str) -> None:
    trapped, remedied, level, word = TRAPS[trap]
    (reported,) = [finding for finding in TaskiqAdapter(trapped).findings() if word in finding.what]
    assert reported.level == level
    assert reported.remedy.endswith(".")
    assert not [finding for finding in TaskiqAdapter(remedied).findings() if word in finding.what]


def test_a_broker_without_traps_has_no_findings() -> None:
    stream = RedisStreamBroker(URL, maxlen=1000, unacknowledged_lock_timeout=60, socket_timeout=None).with_result_backend(RESULTS)
    assert TaskiqAdapter(stream).findings() == []
    assert TaskiqAdapter(InMemoryBroker()).findings() == []


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop at work in a thread, with nothing to do."""
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever)
    thread.start()
    yield made
    made.call_soon_threadsafe(made.stop)
    thread.join(10)
    made.close()


def deaf(broker: AsyncBroker, loop: asyncio.AbstractEventLoop) -> bool:
    adapter = TaskiqAdapter(broker)
    (state,) = adapter.states
    state.receiver, state.loop = object(), loop
    return any("does not handle stop signals" in finding.what for finding in adapter.findings())


def test_a_worker_that_never_wakes_is_found(loop: asyncio.AbstractEventLoop) -> None:
    broker = ListQueueBroker(URL, socket_timeout=None)
    assert deaf(broker, loop)

    def wake() -> None:
        loop.call_later(0.2, wake)

    loop.call_soon_threadsafe(wake)
    ends = time.monotonic() + 5
    while deaf(broker, loop):
        assert time.monotonic() < ends
    assert not TaskiqAdapter(broker).findings()[-1].what.startswith("This worker does not"), "a producer need not wake"
