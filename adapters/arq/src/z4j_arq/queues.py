# SPDX-License-Identifier: Apache-2.0
"""arq's Redis, asked by the agent's thread over a connection of its own: the host's loop may be busy, or not running at all."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import redis
from arq.constants import expires_extra_ms, in_progress_key_prefix
from redis.connection import Connection, ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.sentinel import Sentinel

from z4j_agent.adapter import QueueInfo, Refused
from z4j_arq.facts import now

if TYPE_CHECKING:
    from z4j_arq.capture import Capture

TIMEOUT_S = 3.0
SEARCH_S = 2.0
"""How long other queues than the known ones are looked for."""
OLDEST_LOOKED_AT = 200
"""Jobs at the front of a queue that are looked at: a job that runs stays in its queue (arq, worker.py:start_jobs), among the oldest."""
_KEPT = (
    "host", "port", "path", "db", "username", "password", "credential_provider", "ssl_keyfile", "ssl_certfile", "ssl_cert_reqs",
    "ssl_ca_certs", "ssl_ca_data", "ssl_check_hostname", "ssl_min_version", "protocol",
)  # fmt: skip
"""What the asynchronous and the synchronous connections of redis-py have in common."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where a queue is, and how jobs are written there. `pool` is the connection pool of an ArqRedis."""

    pool: Any
    serializer: Any = None
    deserializer: Any = None
    expires_extra_ms: int = expires_extra_ms

    @contextlib.contextmanager
    def connect(self) -> Iterator[Any]:
        """A short-lived connection of our own. Raises redis.RedisError where there is none to be had."""
        client = redis.Redis(connection_pool=_pool_like(self.pool))
        try:
            yield client
        finally:
            client.close()
            client.connection_pool.disconnect()


def _pool_like(source: Any) -> ConnectionPool:
    settings = {name: source.connection_kwargs[name] for name in _KEPT if name in source.connection_kwargs}
    kind = source.connection_class.__name__
    made: type[Any] = SSLConnection if "SSL" in kind else UnixDomainSocketConnection if "Unix" in kind else Connection
    if hasattr(source, "sentinel_manager"):
        settings["host"], settings["port"] = _master(source)
    limits = {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S, "max_connections": 1}
    return ConnectionPool(connection_class=made, **limits, **settings)


def _master(source: Any) -> tuple[str, int]:
    """The address behind Sentinel, asked of the same sentinels. Raises redis.RedisError where they name none."""
    kept = [sentinel.connection_pool.connection_kwargs for sentinel in source.sentinel_manager.sentinels]
    host, port = Sentinel([(each["host"], each["port"]) for each in kept], socket_timeout=TIMEOUT_S).discover_master(source.service_name)
    return str(host), int(port)


def brokers(capture: Capture) -> dict[str, Broker]:
    """By queue name: the queues of this process's workers first, then those it has enqueued to."""
    found = {}
    for worker in list(capture.workers):
        if worker.pool is not None:
            pool = worker.pool.connection_pool
            found[str(worker.queue_name)] = Broker(pool, worker.job_serializer, worker.job_deserializer, worker.expires_extra_ms)
    for queue, used in list(capture.pools.items()):
        if queue not in found:
            found[queue] = Broker(used.connection_pool, used.job_serializer, used.job_deserializer, used.expires_extra_ms)
    return found


def broker_of(capture: Capture, queue: str) -> tuple[str, Broker]:
    """A queue and where it is, or would be; "" is the first this process knows. Raises Refused where it has no Redis yet."""
    known = brokers(capture)
    if not known:
        raise Refused("this process has not reached arq's Redis yet")
    first = next(iter(known))
    return queue or first, known.get(queue, known[first])


def find(capture: Capture, job_id: str) -> tuple[str, Broker] | None:
    """The queue a job stands in, waiting or running. Where no known queue has it, every sorted set is asked, for a while."""
    known = brokers(capture)
    for queue, broker in known.items():
        with broker.connect() as client:
            if client.zscore(queue, job_id) is not None:
                return queue, broker
    servers = {id(broker.pool): broker for broker in known.values()}
    for broker in servers.values():
        ends = time.monotonic() + SEARCH_S
        with broker.connect() as client:
            for key in client.scan_iter(count=1000, _type="zset"):
                queue = key.decode("utf-8", "replace")
                if queue not in known and not queue.startswith("arq:abort") and client.zscore(key, job_id) is not None:
                    return queue, broker
                if time.monotonic() > ends:
                    break
    return None


def list_queues(capture: Capture) -> list[QueueInfo]:
    """Every queue this process works for or has enqueued to. What is deferred or runs does not wait."""
    found = []
    for queue, broker in sorted(brokers(capture).items()):
        with broker.connect() as client:
            found.append(_measure(client, queue))
    return found


def _measure(client: Any, queue: str) -> QueueInfo:
    ms = now() // 1000
    pipe = client.pipeline(transaction=False)
    pipe.zcount(queue, "-inf", ms)
    pipe.zrangebyscore(queue, "-inf", ms, start=0, num=OLDEST_LOOKED_AT, withscores=True)
    due, oldest = pipe.execute()
    if not oldest:
        return QueueInfo(queue, 0)
    running = client.mget([in_progress_key_prefix.encode() + job_id for job_id, _ in oldest])
    waiting = [score for (_, score), is_running in zip(oldest, running, strict=True) if not is_running]
    depth = max(due - (len(oldest) - len(waiting)), 0)
    return QueueInfo(queue, depth, oldest_at=int(waiting[0]) * 1000 if waiting and waiting[0] > 1 else None)
