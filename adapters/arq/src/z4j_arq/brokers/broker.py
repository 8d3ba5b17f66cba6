# SPDX-License-Identifier: Apache-2.0
"""The Redis of a queue of arq, and separate connections to it: the application's loop may be busy, or not running."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import redis
from arq.constants import expires_extra_ms
from redis.connection import Connection, ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.sentinel import Sentinel

from z4j_agent.capture.broker import identify

TIMEOUT_S = 3.0
_KEPT = (
    "host", "port", "path", "db", "username", "password", "credential_provider", "ssl_keyfile", "ssl_certfile", "ssl_cert_reqs",
    "ssl_ca_certs", "ssl_ca_data", "ssl_check_hostname", "ssl_min_version", "protocol",
)  # fmt: skip
"""Options that the asynchronous and the synchronous connections of redis-py share."""


@dataclass(frozen=True, slots=True)
class Broker:
    """The address of a queue's Redis, and the serialisers of its jobs. Contains no pool of the application, so that none is kept alive."""

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
        """Reads an ArqRedis; `writer`, a Worker, has serialisers of its own."""
        source, writer = redis_pool.connection_pool, writer or redis_pool
        manager = getattr(source, "sentinel_manager", None)
        options = [each.connection_pool.connection_kwargs for each in manager.sentinels] if manager is not None else []
        return cls(
            kind=source.connection_class.__name__,
            settings={name: source.connection_kwargs[name] for name in _KEPT if name in source.connection_kwargs},
            sentinels=tuple((str(each["host"]), int(each["port"])) for each in options),
            master=str(getattr(source, "service_name", "")),
            serializer=writer.job_serializer,
            deserializer=writer.job_deserializer,
            expires_extra_ms=int(writer.expires_extra_ms),
        )

    def identity(self, this_host: str) -> str:
        """Returns the identity by its address; with Sentinel by the service's name, which stays the same after a failover."""
        database, path = str(self.settings.get("db") or 0), self.settings.get("path")
        if self.sentinels:
            return identify("redis+sentinel", self.master, 1, database, this_host=this_host)
        host, port = str(path or self.settings.get("host") or ""), None if path else self.settings.get("port")
        return identify("redis", host, port, database, this_host=this_host)

    @property
    def server(self) -> str:
        """A key that is equal for two addresses of one database, in this process."""
        return self.identity("")

    @contextlib.contextmanager
    def connect(self) -> Iterator[Any]:
        """Opens a short-lived separate connection. Raises redis.RedisError if that fails."""
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
    """Returns the identity by arq's RedisSettings, with which a worker will connect (arq/connections.py: `create_pool`)."""
    database, path = str(settings.database or 0), getattr(settings, "unix_socket_path", None)
    if settings.sentinel:
        return identify("redis+sentinel", str(settings.sentinel_master), 1, database, this_host=this_host)
    return identify("redis", str(path or settings.host or ""), None if path else settings.port, database, this_host=this_host)


QueueKey = tuple[str, str]
"""(identity of a Redis, name of a queue)."""
