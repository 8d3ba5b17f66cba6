# SPDX-License-Identifier: AGPL-3.0-or-later
"""Decides which connections are accepted and when they end: wrong tokens per address, connections per token, and tokens that are no
longer valid.

The token is looked up before anything is counted or limited: a valid one is never refused because of others at its address.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

from starlette.websockets import WebSocket

from z4j import clock, logs
from z4j.agents.tokens import AgentToken, find_token
from z4j.listener.connection_limits import admit, refuse_late
from z4j.rate_limit import Attempts, bearer, spread
from z4j.rules.addresses import Origin, limit_key
from z4j.store.access import tokens
from z4j.store.sqlite.db import Store
from z4j_agent import wire

WATCH_S: Final = 0.4
"""How often the tokens of connected agents are looked up: another process may have revoked one."""
SLOW_S: Final = 2.0
"""A wrong token beyond the limit is answered after this time, so that a client that retries in a loop has to wait."""
HINT = "Make a new connection string under Settings, Apps, and put it into Z4J_URL."


class Refused(Exception):
    """`status`: refused before the WebSocket is accepted; else with `code` as its first and last frame."""

    def __init__(self, code: int, message: str, hint: str = "", status: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.status = status


class Connected(Protocol):
    """A connection that is open with a token."""

    token: AgentToken

    def end(self, code: int, reason: str) -> None:
        """Closes the connection with a code and a reason."""


class Guard:
    """One per gateway."""

    def __init__(self, store: Store, per_token: int) -> None:
        self.store = store
        self.per_token = per_token
        self.attempts = Attempts()
        self._connected: dict[int, set[Any]] = {}

    async def check(self, websocket: WebSocket) -> AgentToken:
        """Returns the token of a connection that may continue. Raises Refused."""
        if websocket.headers.get("origin") is not None:
            # An agent sends none. Any page could open this socket from a visitor's browser, so it is not counted against the address.
            raise Refused(wire.FORBIDDEN, "a browser cannot be an agent", status=403)
        address = limit_key(address_of(websocket))
        text = bearer(websocket.headers.get("authorization"))
        token = await find_token(self.store, text) if text else None
        if token is None:
            if not self.attempts.claim(address):
                refuse_late(websocket.scope)
                await asyncio.sleep(spread(SLOW_S))
                if not text:
                    raise Refused(wire.TOO_MANY, "too many connections without a valid token from this address", status=429)
                raise Refused(wire.TOO_MANY, "too many wrong tokens from this address", "Wait a minute.")
            if not text:
                raise Refused(wire.BAD_TOKEN, "no token was sent", status=401)
            raise Refused(wire.BAD_TOKEN, "this token is unknown, revoked or expired, or its app is disabled", HINT)
        admit(websocket.scope)
        if len(self._connected.get(token.token_id, ())) >= self.per_token:
            message = f"{self.per_token} agents are already connected with this token"
            raise Refused(wire.TOO_MANY, message, "Use one token per host or raise --connections-per-token on the server.")
        return token

    def opened(self, peer: Connected) -> None:
        """Records a connection."""
        self._connected.setdefault(peer.token.token_id, set()).add(peer)

    def closed(self, peer: Connected) -> None:
        """Removes a connection."""
        peers = self._connected.get(peer.token.token_id, set())
        peers.discard(peer)
        if not peers:
            self._connected.pop(peer.token.token_id, None)

    async def is_valid(self, token: AgentToken) -> bool:
        """Whether a token works at this moment."""
        return token.token_id in await tokens.list_valid_agent_tokens(self.store, [token.token_id], clock.now())

    async def watch(self) -> None:
        """Ends connections whose token was revoked or has expired, or whose app was disabled, until cancelled."""
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                await self.end_invalid()
            except Exception as error:  # whatever the database reports: the next round tries again
                logs.unexpected("-", "/agent", error)

    async def end_invalid(self) -> int:
        """Runs one round of `watch`. Returns how many connections were closed."""
        if not self._connected:
            return 0
        valid = await tokens.list_valid_agent_tokens(self.store, list(self._connected), clock.now())
        ended = [peer for token_id, peers in self._connected.items() if token_id not in valid for peer in peers]
        for peer in ended:
            peer.end(wire.BAD_TOKEN, "this token was revoked or has expired, or its app is disabled")
        return len(ended)


def address_of(websocket: WebSocket) -> str:
    """Returns the address of the client; that of a proxy only if no client is known."""
    return websocket.client.host if websocket.client else ""


def is_private(websocket: WebSocket) -> bool:
    """Whether commands may be sent: nobody on a network can read them."""
    origin: Origin | None = websocket.scope.get("origin")
    return origin is not None and origin.is_private
