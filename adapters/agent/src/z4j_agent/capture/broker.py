# SPDX-License-Identifier: Apache-2.0
"""Identities of brokers. Pure, except for the fingerprints and the cache of `Identities`.

Two queues of one name in two brokers are two queues, so a queue, an original and a command name their broker. The identity is made of what
leads there (kind, host, port, database or virtual host, key prefix) and never of a credential. An owner who uses several addresses for one
broker names it with `Z4J_BROKER` or `install(broker_name=…)`, in every process.
"""

from __future__ import annotations

import itertools
import os
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from z4j_agent.capture.guard import faults, let_through
from z4j_agent.contract.adapter import Adapter, Refused
from z4j_agent.settings import Settings

LOOPBACK = frozenset({"", "localhost", "127.0.0.1", "::1", "0.0.0.0"})  # noqa: S104 -- compared, not bound to
LONGEST = 255
MOST = 100
"""Brokers of one engine that a process reports; the protocol takes no more."""
PORTS = {"redis": 6379, "amqp": 5672}
KINDS = {
    "rediss": "redis", "valkey": "redis", "valkeys": "redis", "redis+socket": "redis", "unix": "redis", "amqps": "amqp", "pyamqp": "amqp",
}  # fmt: skip


def identify(kind: str, host: str, port: int | None = None, database: str = "", prefix: str = "", *, this_host: str) -> str:
    """`redis://cache.internal:6379/0`, with `#prefix` where keys have one. A loopback address or a socket (`host` begins with "/") belongs
    to one host, so `@this_host` follows it: the local brokers of two hosts are two brokers."""
    kind = KINDS.get(kind, kind)
    is_socket = host.startswith("/")
    host = host if is_socket else host.lower().strip("[]")
    is_here = is_socket or host in LOOPBACK or host.startswith("127.")
    address = host if is_socket else f"{'localhost' if is_here else host}:{port or PORTS.get(kind, 0)}"
    identity = f"{kind}://{address}/{database.strip('/')}"
    return f"{identity}{f'#{prefix}' if prefix else ''}{f'@{this_host}' if is_here else ''}"[:LONGEST]


def identify_url(url: str, prefix: str = "", *, this_host: str) -> str:
    """Returns the identity of the broker of a URL. Several URLs separated by ";" (a failover list) are one broker in any order. "" if it is
    not a URL. Never raises."""
    identities = sorted({one for part in url.split(";") if (one := _of_url(part.strip(), prefix, this_host))})
    return ";".join(identities)[:LONGEST]


def _of_url(url: str, prefix: str, this_host: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    if not parts.scheme:
        return ""
    kind, path = parts.scheme.lower(), unquote(parts.path)
    kind = KINDS.get(kind, kind)
    if parts.scheme.lower() in ("unix", "redis+socket") or (not parts.netloc and path.startswith("/")):
        return identify(kind, path or "/", prefix=prefix, this_host=this_host)
    database = path.strip("/") or ("0" if kind == "redis" else "")
    return identify(kind, parts.hostname or "", port, database, prefix, this_host=this_host)


def identify_pool(pool: Any, prefix: str = "", *, this_host: str) -> str:
    """Returns the identity of the broker of a connection pool of redis-py, from its `connection_kwargs`; sends no request. With Sentinel
    the `service_name` of the pool is used, which stays the same after a failover."""
    options = pool.connection_kwargs
    database, path = str(options.get("db") or 0), options.get("path")
    if (service := getattr(pool, "service_name", None)) is not None:
        return identify("redis+sentinel", str(service), 1, database, prefix, this_host=this_host)
    return identify(
        "redis", str(path or options.get("host") or ""), None if path else options.get("port"), database, prefix, this_host=this_host
    )


class Host(Protocol):
    """What an identity needs of the agent."""

    host: str
    settings: Settings


class Identities:
    """The identities of the brokers of this process, each computed once. `identify` takes an object that refers to a broker, and this
    host's name; `current` gives the agent of this process (`z4j_agent.current`)."""

    def __init__(self, identify: Callable[[Any, str], str], current: Callable[[], Host | None]) -> None:
        self._identify = identify
        self._current = current
        self._addresses: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()

    def of(self, source: Any, first: Any) -> str:
        """The identity of a broker; "" without an agent, and for a broker in memory or of an unknown kind.

        The owner's own name (`Z4J_BROKER`) is that of the broker which `first` leads to.
        """
        agent = self._current()
        if agent is None:
            return ""
        address, own = self._address(source, agent.host), agent.settings.broker
        return own if own and address and first is not None and self._address(first, agent.host) == address else address

    def forget(self, source: Any) -> None:
        """Drops the cached identity, because the object may refer to another broker later."""
        self._addresses.pop(source, None)

    def _address(self, source: Any, this_host: str) -> str:
        identity = self._addresses.get(source)
        if identity is None:
            identity = self._addresses[source] = self._identify(source, this_host)
        return identity


def fingerprint_redis(client: Any, pool: Any, prefix: str = "") -> str:
    """Returns the `run_id` of a Redis server with database and prefix: the same through every address. "" if the server does not report
    one. Sends INFO to the server, and raises the exceptions of the client."""
    run_id = str(client.info("server").get("run_id") or "")
    return f"{run_id}/{pool.connection_kwargs.get('db') or 0}#{prefix}" if run_id else ""


def fingerprint_file(path: Path) -> str:
    """Returns "boot ID:device:inode" of a file or folder: the same for every container of one Linux kernel that has it mounted. "" where it
    does not exist (yet), or without `/proc`. Never raises OSError."""
    try:
        facts, boot = os.stat(path), Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""
    return f"{boot}:{facts.st_dev}:{facts.st_ino}"


def brokers_of(adapter: Adapter, fingerprints: dict[str, str]) -> dict[str, str]:
    """{identity: fingerprint} of an adapter's brokers. Fingerprints are also added to `fingerprints`, for the originals made after this
    call. Never raises."""
    try:
        identities = dict(itertools.islice(adapter.brokers().items(), MOST))
    except Exception as error:
        let_through(error)
        faults.report(f"finding the brokers of {adapter.engine}", error)
        return {}
    fingerprints.update({identity: fingerprint for identity, fingerprint in identities.items() if fingerprint})
    return identities


def find_broker(broker: str, server: str, known: Mapping[str, str], what: str = "task") -> str:
    """The identity that this process uses for the broker of an original or a command. `known` is {identity: fingerprint or ""} of the
    brokers it has; `server` is the fingerprint its maker saw, "" where it saw none.

    "" (not reported) matches any. Raises Refused for a broker that this process does not use: no worker would take the task from another
    broker. `what`, "task" or "queue", is for the message.
    """
    if not broker or not known or broker in known:
        return broker if broker in known else ""
    if server:
        for identity, fingerprint in known.items():
            if fingerprint == server:
                return identity
    raise Refused(
        f"the {what} belongs to the broker {broker[:120]}, which this process does not use; no changes were made. "
        "If it is the same broker under another address, give it one name in every process with Z4J_BROKER",
        check="broker.unknown",
    )
