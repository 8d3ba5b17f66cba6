# SPDX-License-Identifier: Apache-2.0
"""arq's Redis, asked by the agent's thread over a connection of its own: the host's loop may be busy, or not running at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import redis
from arq.constants import in_progress_key_prefix
from redis.connection import ConnectionPool, SSLConnection, UnixDomainSocketConnection

from z4j_agent.adapter import QueueInfo, Refused
from z4j_arq.facts import now

if TYPE_CHECKING:
    from z4j_arq.capture import Capture

TIMEOUT_S = 3.0
OLDEST_LOOKED_AT = 200
"""Jobs at the front of a queue that are looked at: a job that runs stays in its queue (arq, worker.py:start_jobs), among the oldest."""
_KEPT = (
    "host", "port", "path", "db", "username", "password", "credential_provider", "ssl_keyfile", "ssl_certfile", "ssl_cert_reqs",
    "ssl_ca_certs", "ssl_ca_data", "ssl_check_hostname", "ssl_min_version", "protocol",
)  # fmt: skip
"""What the asynchronous and the synchronous connections of redis-py have in common."""


@contextlib.contextmanager
def connection_to(pool: Any) -> Iterator[Any]:
    """A short-lived connection to where this ArqRedis (or RedisSettings) points. Raises Refused where that cannot be known."""
    client = _client(pool)
    try:
        yield client
    finally:
        client.close()
        client.connection_pool.disconnect()


def _client(pool: Any) -> Any:
    source = pool.connection_pool
    if hasattr(source, "sentinel_manager"):
        return _client_of_master(source)
    settings = {name: source.connection_kwargs[name] for name in _KEPT if name in source.connection_kwargs}
    kind = source.connection_class.__name__
    if kind.startswith("SSL"):
        settings["connection_class"] = SSLConnection
    elif kind.startswith("UnixDomainSocket"):
        settings["connection_class"] = UnixDomainSocketConnection
    return redis.Redis(connection_pool=_pool_of(settings))


def _pool_of(settings: dict[str, Any]) -> ConnectionPool:
    return ConnectionPool(socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, max_connections=1, **settings)


def _client_of_master(source: Any) -> Any:
    """Redis behind Sentinel: the address is asked of the same sentinels."""
    from redis.sentinel import Sentinel

    sentinels = [
        (s.connection_pool.connection_kwargs["host"], s.connection_pool.connection_kwargs["port"])
        for s in source.sentinel_manager.sentinels
    ]
    settings = {name: source.connection_kwargs[name] for name in _KEPT if name in source.connection_kwargs}
    for name in ("host", "port"):
        settings.pop(name, None)
    manager = Sentinel(sentinels, socket_timeout=TIMEOUT_S)
    try:
        host, port = manager.discover_master(source.service_name)
    except redis.RedisError as error:
        raise Refused(f"the sentinels do not name a master ({type(error).__name__})") from error
    return redis.Redis(connection_pool=_pool_of({**settings, "host": host, "port": port}))


def list_queues(capture: Capture) -> list[QueueInfo]:
    """Every queue this process works for or has enqueued to. What is deferred or runs does not wait."""
    found = []
    for queue, pool in sorted(capture.queues().items()):
        with connection_to(pool) as client:
            found.append(_measure(client, queue))
    return found


def _measure(client: Any, queue: str) -> QueueInfo:
    at = now()
    pipe = client.pipeline(transaction=False)
    pipe.zcount(queue, "-inf", at // 1000)
    pipe.zrangebyscore(queue, "-inf", at // 1000, start=0, num=OLDEST_LOOKED_AT, withscores=True)
    due, oldest = pipe.execute()
    if not oldest:
        return QueueInfo(queue, 0)
    running = client.mget([in_progress_key_prefix.encode() + job_id for job_id, _ in oldest])
    waiting = [score for (_, score), is_running in zip(oldest, running, strict=True) if not is_running]
    depth = due - (len(oldest) - len(waiting))
    return QueueInfo(queue, depth, oldest_at=int(waiting[0]) * 1000 if waiting and waiting[0] > 1 else None)
