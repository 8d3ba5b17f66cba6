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
    """Where a queue is, and how jobs are written there: facts only, so that no pool of the application's is kept alive by us."""

    kind: str
    """Name of redis-py's connection class."""
    settings: dict[str, Any]
    sentinels: tuple[tuple[str, int], ...] = ()
    master: str = ""
    serializer: Any = None
    deserializer: Any = None
    expires_extra_ms: int = expires_extra_ms

    @classmethod
    def of(cls, redis_pool: Any, writer: Any = None) -> Broker:
        """What an ArqRedis says; `writer`, a Worker, has serialisers of its own."""
        source, writer = redis_pool.connection_pool, writer or redis_pool
        manager = getattr(source, "sentinel_manager", None)
        kept = [each.connection_pool.connection_kwargs for each in manager.sentinels] if manager is not None else []
        return cls(
            kind=source.connection_class.__name__,
            settings={name: source.connection_kwargs[name] for name in _KEPT if name in source.connection_kwargs},
            sentinels=tuple((str(each["host"]), int(each["port"])) for each in kept),
            master=str(getattr(source, "service_name", "")),
            serializer=writer.job_serializer,
            deserializer=writer.job_deserializer,
            expires_extra_ms=int(writer.expires_extra_ms),
        )

    @property
    def place(self) -> tuple[Any, ...]:
        """Equal for two ways to the same database."""
        return (*(self.settings.get(name) for name in ("host", "port", "path", "db")), self.sentinels, self.master)

    @contextlib.contextmanager
    def connect(self) -> Iterator[Any]:
        """A short-lived connection of our own. Raises redis.RedisError where there is none to be had."""
        client = redis.Redis(connection_pool=self._pool())
        try:
            yield client
        finally:
            client.close()
            client.connection_pool.disconnect()

    def _pool(self) -> ConnectionPool:
        kind: type[Any] = SSLConnection if "SSL" in self.kind else UnixDomainSocketConnection if "Unix" in self.kind else Connection
        settings = dict(self.settings)
        if self.sentinels:
            settings["host"], settings["port"] = Sentinel(self.sentinels, socket_timeout=TIMEOUT_S).discover_master(self.master)
        limits = {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S, "max_connections": 1}
        return ConnectionPool(connection_class=kind, **limits, **settings)


def brokers(capture: Capture) -> dict[str, Broker]:
    """By queue name: the queues of this process's workers first, then those it has enqueued to."""
    own = {str(each.queue_name): Broker.of(each.pool, each) for each in list(capture.workers) if each.pool is not None}
    return own | {queue: broker for queue, (_, broker) in list(capture.brokers.items()) if queue not in own}


ARQS_OWN = ("arq:abort", "arq:health-check", "arq:in-progress:", "arq:job:", "arq:result:", "arq:retry:")
"""Where the names of arq's other keys begin (arq, constants.py)."""


def knows(capture: Capture, queue: str) -> bool:
    """Whether this process works for that queue or has enqueued to it."""
    return not queue.startswith(ARQS_OWN) and queue in brokers(capture)


def broker_of(capture: Capture, queue: str) -> tuple[str, Broker]:
    """A queue and where it is; "" is the first this process knows. Raises Refused where it has no Redis yet, or no such queue."""
    known = brokers(capture)
    if not known:
        raise Refused("this process has not reached arq's Redis yet")
    queue = queue or next(iter(known))
    if len({broker.place for broker in known.values()}) == 1 and not queue.startswith(ARQS_OWN):
        return queue, known.get(queue) or next(iter(known.values()))  # one that another process uses, in the only Redis there is
    if not knows(capture, queue):
        raise Refused(f"this process does not use the queue {queue[:80]}; nothing was changed", check="queue.unknown")
    return queue, known[queue]


def find(capture: Capture, job_id: str) -> tuple[str, Broker] | None:
    """The queue a job stands in, waiting or running. Where no known queue has it, every sorted set is asked, for a while."""
    known = brokers(capture)
    for queue, broker in known.items():
        with broker.connect() as client:
            if client.zscore(queue, job_id) is not None:
                return queue, broker
    servers = {broker.place: broker for broker in known.values()}
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
    pipe.zcount(queue, f"({ms}", "+inf")
    due, oldest, delayed = pipe.execute()
    if not oldest:
        return QueueInfo(queue, 0, delayed=int(delayed))
    running = client.mget([in_progress_key_prefix.encode() + job_id for job_id, _ in oldest])
    waiting = [score for (_, score), is_running in zip(oldest, running, strict=True) if not is_running]
    depth = max(due - (len(oldest) - len(waiting)), 0)
    return QueueInfo(queue, depth, oldest_at=int(waiting[0]) * 1000 if waiting and waiting[0] > 1 else None, delayed=int(delayed))
