# SPDX-License-Identifier: AGPL-3.0-or-later
"""Accepts connections on a TLS port: looks at the first byte of each before it decides.

A TLS handshake begins with 0x16. Anything else is a client that speaks plain HTTP: a person who typed the address without `https://`, or an
agent with a connection string of before. It gets an answer that helps (`plain_requests`), never a page. Each connection waits in a task of
its own, counted among the connections without a credential, so that a slow or silent client delays nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from asyncio import sslproto
from collections.abc import Callable
from typing import Any, Final

from z4j import logs
from z4j.listener.connection_limits import Connections
from z4j.listener.tls import ServerTls

FIRST_BYTE_WITHIN_S: Final = 5.0
HANDSHAKE_WITHIN_S: Final = 5.0
SHUTDOWN_WITHIN_S: Final = 3.0
AT_ONCE: Final = 64
"""Connections accepted before anything else runs."""
PAUSE_S: Final = 1.0
"""How long nothing is accepted after the system had no descriptor left."""
HANDSHAKE: Final = 0x16
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

BUFFER: Final = 32 * 1024
"""Bytes that asyncio reserves for a connection with TLS from its first byte on. By default 256 KB: clients that begin handshakes and leave
would cost hundreds of megabytes. A record of TLS has at most 16 KB."""
sslproto.SSLProtocol.max_size = BUFFER

MakeProtocol = Callable[[], asyncio.Protocol]


class Arrival:
    """A connection before its first protocol. It has what `Connections` asks of a transport."""

    def __init__(self, sock: socket.socket, peername: Any) -> None:
        self.socket = sock
        self.peername = peername
        self.task: asyncio.Task[None] | None = None

    def get_extra_info(self, name: str) -> Any:
        """Returns the peer's address for "peername"."""
        return self.peername if name == "peername" else None

    def abort(self) -> None:
        """Ends it."""
        if self.task is not None:
            self.task.cancel()

    def is_closing(self) -> bool:
        """An arrival ends at once."""
        return False


class TlsListener:
    """Serves one listening socket; has `close` and `wait_closed` like a server of asyncio."""

    def __init__(
        self, listener: socket.socket, tls: ServerTls, connections: Connections, make_secure: MakeProtocol, make_plain: MakeProtocol
    ) -> None:
        self._listener = listener
        self._tls = tls
        self._connections = connections
        self._make_secure = make_secure
        self._make_plain = make_plain
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._paused: asyncio.TimerHandle | None = None
        listener.setblocking(False)
        self._resume()

    def close(self) -> None:
        """Accepts nothing more, and ends connections that have not begun."""
        self._pause()
        if self._paused is not None:
            self._paused.cancel()
        for task in list(self._tasks):
            task.cancel()

    async def wait_closed(self) -> None:
        """Waits for the tasks that `close` has ended."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _resume(self) -> None:
        self._loop.add_reader(self._listener.fileno(), self._accept)

    def _pause(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.remove_reader(self._listener.fileno())

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                sock, peername = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                logs.connection_refused("-", f"nothing is accepted for {PAUSE_S:g} s: {error.strerror}")
                self._pause()
                self._paused = self._loop.call_later(PAUSE_S, self._resume)
                return
            sock.setblocking(False)
            arrival = Arrival(sock, peername)
            if not self._connections.arrived(arrival):
                sock.close()
                continue
            arrival.task = task = self._loop.create_task(self._greet(arrival))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _greet(self, arrival: Arrival) -> None:
        """Hands the connection over to its protocol. Raises nothing: a failed handshake concerns this connection only."""
        sock, is_handed_over = arrival.socket, False
        try:
            async with asyncio.timeout(FIRST_BYTE_WITHIN_S):
                first = await self._first_byte(sock)
            if not first:
                return
            is_handed_over = True  # its transport closes the socket from here on
            if first[0] == HANDSHAKE:
                await self._loop.connect_accepted_socket(
                    self._make_secure, sock, ssl=self._tls.context, ssl_handshake_timeout=HANDSHAKE_WITHIN_S,
                    ssl_shutdown_timeout=SHUTDOWN_WITHIN_S,
                )  # fmt: skip
            else:
                await self._loop.connect_accepted_socket(self._make_plain, sock)
        except TimeoutError:
            logs.connection_refused(_address(arrival), "no request in time")
        except (ssl.SSLError, OSError) as error:
            error.__traceback__ = None  # its frames hold the future that holds the error: a circle with the connection's buffers in it
            logs.handshake_failed(_address(arrival), getattr(error, "reason", None) or str(error) or type(error).__name__)
        finally:
            arrival.task = None  # a cancelled task keeps the frames of its end: another circle
            self._connections.closed(arrival)
            if not is_handed_over:
                sock.close()

    async def _first_byte(self, sock: socket.socket) -> bytes:
        """Returns the first byte without taking it: the handshake needs it. b"" if the other end has closed."""
        readable: asyncio.Future[None] = self._loop.create_future()

        def found() -> None:
            if not readable.done():
                readable.set_result(None)

        self._loop.add_reader(sock.fileno(), found)
        try:
            await readable
        finally:
            self._loop.remove_reader(sock.fileno())
        with contextlib.suppress(BlockingIOError):  # readable, and then not: treated like a close
            return sock.recv(1, socket.MSG_PEEK)
        return b""


def _address(arrival: Arrival) -> str:
    return str((arrival.peername or ("-",))[0])
