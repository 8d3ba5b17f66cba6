# SPDX-License-Identifier: Apache-2.0
"""Connections to a broker from the agent's thread: a separate one to its Redis, and calls in the loop of the application."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

from z4j_agent.contract.adapter import Refused
from z4j_taskiq.state import BrokerState

T = TypeVar("T")

LOOP_WAIT_S = 5.0
"""Seconds that the agent's thread waits for the application's loop: a task that blocks the loop must not block the agent permanently."""
REDIS_WAIT_S = 3.0
_CONNECTION = frozenset({"host", "port", "db", "username", "password", "path", "protocol"})


def redis_kind(broker: Any) -> str:
    """`list`, `stream` or "": how a broker of taskiq-redis on one Redis stores its messages. Sentinel and cluster are not supported."""
    if not hasattr(broker, "connection_pool"):
        return ""
    names = {kind.__name__ for kind in type(broker).__mro__ if kind.__module__.startswith("taskiq_redis")}
    return "list" if "ListQueueBroker" in names else "stream" if "RedisStreamBroker" in names else ""


@contextlib.contextmanager
def redis_of(broker: Any) -> Iterator[Any]:
    """A short-lived synchronous connection to the broker's Redis, with the options of the broker's own pool."""
    import redis

    pool = broker.connection_pool
    given = pool.connection_kwargs
    kinds = {"SSLConnection": redis.SSLConnection, "UnixDomainSocketConnection": redis.UnixDomainSocketConnection}
    kind = kinds.get(pool.connection_class.__name__, redis.Connection)
    own = {key: value for key, value in given.items() if key in _CONNECTION or key.startswith("ssl")}
    client = redis.Redis(connection_pool=redis.ConnectionPool(connection_class=kind, **own, socket_timeout=REDIS_WAIT_S, max_connections=1))
    try:
        yield client
    finally:
        client.close()
        client.connection_pool.disconnect()


def in_loop(state: BrokerState, call: Callable[[], Awaitable[T]]) -> T:
    """Awaits `call()` in the loop that uses the broker. Raises Refused if there is none, or it does not respond in time."""
    loop = state.loop
    if loop is None or not loop.is_running():
        raise Refused("this process has no running event loop now. No changes were made. Try again while a worker is connected.")

    async def ask() -> T:
        return await call()

    future = asyncio.run_coroutine_threadsafe(ask(), loop)
    try:
        return future.result(LOOP_WAIT_S)
    except TimeoutError:
        future.cancel()
        raise Refused("the event loop of this process did not respond in time; the result is unknown") from None
