# SPDX-License-Identifier: AGPL-3.0-or-later
"""Keeps unknown clients from using up connections, descriptors and memory. Below uvicorn's protocols.

A connection is *admitted* once a request on it carried a valid session or token. Those that are not admitted are limited per address and
have little time for a request; where a limit is reached, one of them is closed and the new one is taken, so that a person or an agent with
a valid credential is accepted while another client at the same address holds sockets open.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Sequence
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from z4j import logs
from z4j.rules.addresses import Network, find_origin, is_within, limit_key, parse

REQUEST_WITHIN_S: Final = 10.0
"""From the connection, or from the last response, to the end of a request's headers."""
KEEP_ALIVE_S: Final = 75
"""The same after a response, where the connection is admitted. Longer than clients and proxies keep an idle connection (httpx 5 s, nginx
and load balancers 60 s), so that no request is sent into a connection that is being closed."""
BODY_WITHIN_S: Final = 30.0
READ_WITHIN_S: Final = 30.0
"""How long a peer may leave a response unread."""
CLOSE_WITHIN_S: Final = 10.0
YOUNG_S: Final = 2.0
"""A connection this young may be about to show its credential."""
IDLE: Final = "no further request in time"
"""How most connections end: not worth a line of the log."""
SWEEP_S: Final = 1.0
SPARE_DESCRIPTORS: Final = 100
"""For the database, its readers, backups and the log."""


def descriptor_limit(requested: int) -> int:
    """Raises the process's soft limit of descriptors as far as needed and allowed. Returns how many connections fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = requested + SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < need:
        soft = need if hard == resource.RLIM_INFINITY else min(need, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return requested if soft == resource.RLIM_INFINITY else max(1, min(requested, soft - SPARE_DESCRIPTORS))


class Peer:
    """One connection. `since` is when it last began to be idle, on the loop's clock."""

    __slots__ = (
        "blocked_since",
        "closing_since",
        "connections",
        "cycle",
        "is_admitted",
        "is_refused",
        "key",
        "protocol",
        "since",
        "transport",
    )

    def __init__(self, connections: Connections, protocol: Any, transport: asyncio.Transport, key: str, now: float) -> None:
        self.connections = connections
        self.protocol = protocol
        self.transport = transport
        self.key = key
        self.since = now
        self.cycle: Any = None
        self.blocked_since: float | None = None
        self.closing_since: float | None = None
        self.is_admitted = False
        self.is_refused = False
        """What came over it is refused, and is answered late."""

    @property
    def is_busy(self) -> bool:
        """Whether a request is being answered, or a WebSocket is open."""
        if self.protocol is None:
            return False
        if not isinstance(self.protocol, H11Protocol):
            return True
        cycle: Any = self.protocol.cycle
        return cycle is not None and not cycle.response_complete

    def admit(self) -> None:
        """Records that a valid credential came over this connection."""
        if not self.is_admitted:
            self.is_admitted = True
            self.connections.admitted(self)


class Connections:
    """Every open connection of the server. `trusted` are proxies: many clients share their connections, so no limit per address holds."""

    def __init__(self, total: int, per_address: int, trusted: Sequence[Network] = ()) -> None:
        self.total = total
        self.per_address = per_address
        self.trusted = trusted
        self._peers: dict[Any, Peer] = {}
        self._anonymous: dict[str, dict[Peer, None]] = {}
        self._arrivals: dict[Any, Any] = {}
        """Connections without a protocol yet, by the address and port of their peer."""
        self._sweeper: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._peers)

    def arrived(self, arrival: Any) -> bool:
        """Notes a connection that has no protocol yet (`tls_listener.Arrival`). Whether there is room for it; `closed` removes it."""
        if self.opened(None, arrival) is None:
            return False
        self._arrivals[arrival.get_extra_info("peername")] = arrival
        return True

    def opened(self, protocol: Any, transport: Any) -> Peer | None:
        """Notes a new connection. None when there is no room, and every other one is admitted: close it."""
        if (arrival := self._arrivals.pop(transport.get_extra_info("peername"), None)) is not None:
            self.closed(arrival)  # it is this connection
        loop = asyncio.get_running_loop()
        address = str((transport.get_extra_info("peername") or ("",))[0])
        peer = Peer(self, protocol, transport, limit_key(address), loop.time())
        if is_within(parse(address), self.trusted):
            peer.is_admitted = True
        elif len(self._anonymous.get(peer.key, ())) >= self.per_address:
            self._close_one(self._anonymous[peer.key], "too many connections of one address")
        if len(self._peers) >= self.total:
            everyone = {other: None for others in self._anonymous.values() for other in others}
            if not self._close_one(everyone, "too many connections"):
                logs.connection_refused(address, "too many connections")
                return None
        self._peers[transport] = peer
        if not peer.is_admitted:
            self._anonymous.setdefault(peer.key, {})[peer] = None
        if self._sweeper is None:
            self._sweeper = loop.call_later(SWEEP_S, self._sweep, loop)
        return peer

    def upgraded(self, protocol: Any, transport: asyncio.Transport) -> Peer | None:
        """Records that the connection is a WebSocket from now on."""
        peer = self._peers.get(transport)
        if peer is not None:
            peer.protocol = protocol
        return peer

    def closed(self, transport: Any) -> None:
        """Removes a connection that ended, or an arrival that has a protocol now."""
        peer = self._peers.pop(transport, None)
        if peer is not None:
            if peer.protocol is None:
                self._arrivals.pop(transport.get_extra_info("peername"), None)
            self.admitted(peer)

    def admitted(self, peer: Peer) -> None:
        """Removes a connection from those without a valid credential."""
        anonymous = self._anonymous.get(peer.key)
        if anonymous is not None:
            anonymous.pop(peer, None)
            if not anonymous:
                del self._anonymous[peer.key]

    def _close_one(self, peers: dict[Peer, None], why: str) -> bool:
        """Ends one that was refused anyway, else the longest idle one, else the oldest. False when there is none."""
        if not peers:
            return False
        young = asyncio.get_running_loop().time() - YOUNG_S
        gone = min(peers, key=lambda peer: (not peer.is_refused, peer.since > young, peer.is_busy, peer.since))
        logs.connection_refused(gone.key, why)
        gone.transport.abort()
        self.closed(gone.transport)
        return True

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for peer in list(self._peers.values()):
            if why := _overdue(peer, now):
                if why != IDLE:
                    logs.connection_refused(peer.key, why)
                peer.transport.abort()
        self._sweeper = loop.call_later(SWEEP_S, self._sweep, loop) if self._peers else None


def _overdue(peer: Peer, now: float) -> str:
    """Why a connection has to end, or nothing."""
    if peer.protocol is None:
        return ""  # an arrival has its own time limits
    if peer.transport.is_closing():
        peer.closing_since = peer.closing_since or now
        return "the client did not close the connection" if now - peer.closing_since > CLOSE_WITHIN_S else ""
    protocol = peer.protocol
    if isinstance(protocol, H11Protocol):
        is_blocked = protocol.flow.write_paused
    else:
        is_blocked = not protocol.writable.is_set()
    if not is_blocked:
        peer.blocked_since = None
    elif peer.blocked_since is None:
        peer.blocked_since = now
    elif now - peer.blocked_since > READ_WITHIN_S:
        return "the client does not read the response"
    if not isinstance(protocol, H11Protocol):
        return ""
    if not peer.is_busy:
        if peer.cycle is not None:
            peer.cycle, peer.since = None, now
        if protocol.cycle is None:
            return "no request in time" if now - peer.since > REQUEST_WITHIN_S else ""
        return IDLE if now - peer.since > (KEEP_ALIVE_S if peer.is_admitted else REQUEST_WITHIN_S) else ""
    if peer.cycle is not protocol.cycle:
        peer.cycle, peer.since = protocol.cycle, now
    return "the request's body did not end in time" if protocol.cycle.more_body and now - peer.since > BODY_WITHIN_S else ""


def protocols(connections: Connections) -> tuple[type[H11Protocol], type[WebSocketsSansIOProtocol]]:
    """Returns uvicorn's two protocols with these limits, for its settings `http` and `ws`."""

    class GuardedHttp(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            peer = connections.opened(self, transport)
            if peer is None:
                transport.abort()
                return
            self.app = with_peer(self.app, peer)

        def connection_lost(self, exc: Exception | None) -> None:
            connections.closed(self.transport)
            super().connection_lost(exc)

    class GuardedWebSocket(WebSocketsSansIOProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            peer = connections.upgraded(self, self.transport)
            if peer is not None:
                self.app = with_peer(self.app, peer)

        def connection_lost(self, exc: Exception | None) -> None:
            connections.closed(self.transport)
            super().connection_lost(exc)

    return GuardedHttp, GuardedWebSocket


def with_peer(app: ASGIApp, peer: Peer) -> Callable[[Scope, Receive, Send], Any]:
    """Wraps the application so that it knows which connection a request came over."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        scope["z4j.peer"] = peer
        await app(scope, receive, send)

    return call


def admit(scope: Scope) -> None:
    """Records that the connection of this request carried a valid credential."""
    peer: Peer | None = scope.get("z4j.peer")
    if peer is not None:
        peer.admit()


def refuse_late(scope: Scope) -> None:
    """Refuses what comes over this connection, after a delay."""
    peer: Peer | None = scope.get("z4j.peer")
    if peer is not None:
        peer.is_refused = True


class ClientAddress:
    """ASGI: puts `scope["origin"]` there (rules/addresses.py) and makes `client` and `scheme` those of the client, not of a proxy."""

    def __init__(self, app: ASGIApp, trusted: Sequence[Network] = ()) -> None:
        self.app = app
        self.trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            host, port = scope["client"] or ("", 0)
            headers = scope["headers"]
            origin = find_origin(
                host, _lines(headers, b"x-forwarded-for"), _lines(headers, b"x-forwarded-proto"), self.trusted,
                is_secure=scope["scheme"] in ("https", "wss"),
            )  # fmt: skip
            scope["origin"] = origin
            scope["client"] = (origin.client, 0 if origin.is_proxied else port)
            if origin.is_tls:
                scope["scheme"] = "wss" if scope["type"] == "websocket" else "https"
        await self.app(scope, receive, send)


def _lines(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key == name]
