# SPDX-License-Identifier: AGPL-3.0-or-later
"""uvicorn with the limits and the TLS of this server: it serves one listening socket until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

from z4j.listener.connection_limits import KEEP_ALIVE_S, Connections, protocols
from z4j.listener.plain_requests import PlainRequests
from z4j.listener.tls import ServerTls
from z4j.listener.tls_listener import TlsListener
from z4j_agent import wire

PARENT_CHECK_S: Final = 1.0
GRACE_S: Final = 3
BACKLOG: Final = 256
"""Connections the kernel keeps until they are accepted; asyncio tries as many at once when descriptors run out."""


def _config(app: ASGIApp, connections: Connections, **more: Any) -> uvicorn.Config:
    http, websocket = protocols(connections)
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        ws=websocket,
        ws_max_size=wire.MAX_FRAME,
        ws_per_message_deflate=False,
        ws_ping_interval=20,
        ws_ping_timeout=20,
        http=http,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        loop="asyncio",
        proxy_headers=False,  # see ClientAddress
        timeout_graceful_shutdown=GRACE_S,
        server_header=False,
        **more,
    )


class HttpServer(uvicorn.Server):
    """`on_start` runs once the socket is served, `on_stop` before open connections are waited for: uvicorn would wait for streams that
    never end by themselves."""

    def __init__(
        self,
        app: ASGIApp,
        connections: Connections,
        tls: ServerTls | None,
        *,
        on_start: Callable[[], Awaitable[None]],
        on_stop: Callable[[], None],
    ) -> None:
        super().__init__(_config(app, connections))
        self._connections = connections
        self._tls = tls
        self._on_start = on_start
        self._on_stop = on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Runs the lifespan, then serves the sockets."""
        await super().startup([] if self._tls else sockets)
        if not self.started:
            return
        if self._tls is not None:
            plain = _config(PlainRequests(), self._connections, lifespan="off")
            plain.load()
            for listener in sockets or ():
                served: Any = TlsListener(listener, self._tls, self._connections, self._protocol(self.config), self._protocol(plain))
                self.servers.append(served)  # it has the two methods that uvicorn calls
        await self._on_start()

    def _protocol(self, config: uvicorn.Config) -> Callable[[], asyncio.Protocol]:
        """Returns what makes the protocol of a new connection, as uvicorn does."""
        make: Any = config.http_protocol_class
        return lambda: make(config=config, server_state=self.server_state, app_state=self.lifespan.state)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends streams, then connections."""
        self._on_stop()
        await super().shutdown(sockets)

    async def on_tick(self, counter: int) -> bool:
        """A frozen executable is two processes; this one must not outlive its launcher and hold the data folder."""
        if _launcher and counter % int(PARENT_CHECK_S * 10) == 0 and os.getppid() != _launcher:
            os.kill(os.getpid(), signal.SIGTERM)
        return await super().on_tick(counter)


_launcher = os.getppid() if getattr(sys, "frozen", False) else 0
