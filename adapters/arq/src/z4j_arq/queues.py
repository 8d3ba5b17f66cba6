# SPDX-License-Identifier: Apache-2.0
"""arq's Redis, asked by the agent's thread over a connection of its own: the host's loop may be busy, or not running at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import redis
from arq.constants import expires_extra_ms, in_progress_key_prefix
from redis.connection import Connection, ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.sentinel import Sentinel

from z4j_agent.adapter import QueueInfo, Refused
from z4j_agent.broker import identify
from z4j_agent.guard import faults
from z4j_agent.native import ticks
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

    def identity(self, this_host: str) -> str:
        """Of what leads there; Sentinel's service outlives a failover, its addresses do not."""
        database, path = str(self.settings.get("db") or 0), self.settings.get("path")
        if self.sentinels:
            return identify("redis+sentinel", self.master, 1, database, this_host=this_host)
        host, port = str(path or self.settings.get("host") or ""), None if path else self.settings.get("port")
        return identify("redis", host, port, database, this_host=this_host)

    @property
    def server(self) -> str:
        """Equal for two ways to one database, in this process."""
        return self.identity("")

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


def identity_of_settings(settings: Any, this_host: str) -> str:
    """The same of arq's RedisSettings, by which a worker will connect (arq/connections.py: `create_pool`)."""
    database, path = str(settings.database or 0), getattr(settings, "unix_socket_path", None)
    if settings.sentinel:
        return identify("redis+sentinel", str(settings.sentinel_master), 1, database, this_host=this_host)
    return identify("redis", str(path or settings.host or ""), None if path else settings.port, database, this_host=this_host)


Place = tuple[str, str]
"""(identity of a Redis, name of a queue)."""


def places(capture: Capture, only: str = "") -> dict[Place, Broker]:
    """The queues of this process's workers first, then those it has enqueued to; of one Redis or of all."""
    known = capture.known
    own = {(known.identity_of(each.pool), str(each.queue_name)): known.broker_of(each.pool, each) for each in _with_pool(capture)}
    found = own | {place: broker for place, broker in known.met() if place not in own}
    return {place: broker for place, broker in found.items() if only in ("", place[0])}


def _with_pool(capture: Capture) -> list[Any]:
    return [each for each in list(capture.workers) if each.pool is not None]


def servers(capture: Capture, only: str = "") -> dict[str, Broker]:
    """By identity."""
    found: dict[str, Broker] = {}
    for (identity, _), broker in places(capture, only).items():
        found.setdefault(identity, broker)
    return found


def identities(capture: Capture) -> list[str]:
    """Of the Redis of each worker, also before it has connected, then of those this process has enqueued to."""
    own = (capture.known.identity_of_worker(worker) for worker in list(capture.workers))
    return list(dict.fromkeys([*own, *servers(capture)]))


ARQS_OWN = ("arq:abort", "arq:health-check", "arq:in-progress:", "arq:job:", "arq:result:", "arq:retry:")
"""Where the names of arq's other keys begin (arq, constants.py)."""


def knows(capture: Capture, queue: str, only: str = "") -> bool:
    """Whether this process works for that queue or has enqueued to it."""
    return not queue.startswith(ARQS_OWN) and any(place[1] == queue for place in places(capture, only))


def broker_of(capture: Capture, queue: str, only: str = "") -> tuple[str, Broker]:
    """A queue and where it is; "" is the first this process knows. Raises Refused where it has no Redis yet, no such queue, or one in
    several."""
    known = places(capture, only)
    if not known:
        raise Refused("this process has not reached arq's Redis yet")
    queue = queue or next(iter(known))[1]
    found = [broker for place, broker in known.items() if place[1] == queue]
    if len(found) > 1:
        raise Refused(
            f"this process uses several Redis databases with a queue {queue[:80]}, and the command names none; nothing was changed",
            check="broker.unknown",
        )
    if found and not queue.startswith(ARQS_OWN):
        return queue, found[0]
    if len({place[0] for place in known}) == 1 and not queue.startswith(ARQS_OWN):
        return queue, next(iter(known.values()))  # one that another process uses, in the only Redis there is
    raise Refused(f"this process does not use the queue {queue[:80]}; nothing was changed", check="queue.unknown")


def find(capture: Capture, job_id: str, only: str = "") -> tuple[Place, Broker] | None:
    """Where a job stands, waiting or running. Where no known queue has it, every sorted set is asked, for a while. Raises Refused
    where several Redis databases have it: which of them is meant is not known."""
    known = places(capture, only)
    found: dict[str, tuple[Place, Broker]] = {}
    for (identity, queue), broker in known.items():
        with broker.connect() as client:
            if identity not in found and client.zscore(queue, job_id) is not None:
                found[identity] = ((identity, queue), broker)
    if len(found) > 1:
        raise Refused("several Redis databases of this process have a job of this id; nothing was changed", check="broker.unknown")
    if found:
        return next(iter(found.values()))
    names = {place[1] for place in known}
    for identity, broker in servers(capture, only).items():
        ends = ticks() + SEARCH_S
        with broker.connect() as client:
            for key in client.scan_iter(count=1000, _type="zset"):
                queue = key.decode("utf-8", "replace")
                if queue not in names and not queue.startswith("arq:abort") and client.zscore(key, job_id) is not None:
                    return (identity, queue), broker
                if ticks() > ends:
                    break
    return None


def list_queues(capture: Capture) -> list[QueueInfo]:
    """Every queue this process works for or has enqueued to. What is deferred or runs does not wait. One Redis that cannot be reached
    does not hide the others' queues."""
    found, known = [], places(capture)
    for (identity, queue), broker in sorted(known.items(), key=lambda item: item[0]):
        try:
            with broker.connect() as client:
                found.append(replace(_measure(client, queue), broker=identity))
                capture.known.keep_fingerprint(identity, client)
        except redis.RedisError as error:
            if len({place[0] for place in known}) == 1:
                raise
            faults.report(f"what waits in {queue[:80]}", error)
            found.append(QueueInfo(queue, None, broker=identity))
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
