# SPDX-License-Identifier: AGPL-3.0-or-later
"""A receiver of syslog (UDP, TCP, TLS) and JSON lines for tests, with its own parser of RFC 5424 and RFC 6587."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

HEADER: Final = re.compile(
    rb"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) "
    rb'(-|(?:\[[!-<>-\\^-~]{1,32}(?: [!-<>-\\^-~]{1,32}="(?:[^"\\\]]|\\["\\\]])*")*\])+)(?: (.*))?',
    re.DOTALL,
)


@dataclass(frozen=True)
class Message:
    """One message, as RFC 5424 has it."""

    facility: int
    severity: int
    at: datetime
    host: str
    app: str
    pid: str
    id: str
    data: str
    body: dict[str, Any]


def parse(message: bytes) -> Message:
    """Raises AssertionError for an invalid message."""
    found = HEADER.fullmatch(message)
    assert found, message[:200]
    priority = int(found[1])
    assert priority <= 191
    assert all(32 <= letter < 127 for letter in message), "printable ASCII alone"
    at = datetime.fromisoformat(found[2].decode().replace("Z", "+00:00"))
    host, app, pid, id, data = (found[place].decode() for place in range(3, 8))
    return Message(priority // 8, priority % 8, at, host, app, pid, id, data, json.loads(found[8]))


def frames_of(stream: bytes) -> list[bytes]:
    """Splits a stream by octet counting (RFC 6587, 3.4.1). Raises AssertionError if something is left."""
    found, at = [], 0
    while at < len(stream):
        digits = re.match(rb"([1-9]\d{0,8}) ", stream[at : at + 12])
        assert digits, stream[at : at + 40]
        begin = at + digits.end()
        at = begin + int(digits[1])
        assert at <= len(stream), "a frame was cut"
        found.append(stream[begin:at])
    return found


@dataclass
class Receiver:
    """What arrived: for each connection what was read until its end, or each datagram."""

    port: int = 0
    parts: list[bytes] = field(default_factory=list)
    reset_after: int | None = None
    """Reads so many bytes of the next connection, and then resets it: what it has read of it is lost."""
    stays_open: bool = False
    """Does not close its end of a connection."""

    @property
    def messages(self) -> list[Message]:
        return [parse(frame) for part in list(self.parts) for frame in frames_of(part)]

    @property
    def datagrams(self) -> list[Message]:
        return [parse(part) for part in list(self.parts)]

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for part in list(self.parts) for line in part.splitlines()]

    def wait(self, probe: Callable[[], bool], seconds: float = 20) -> None:
        until = time.monotonic() + seconds
        while not probe():
            assert time.monotonic() < until, f"{len(self.parts)} parts arrived"
            time.sleep(0.02)


@contextmanager
def tcp_receiver(port: int = 0, context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Accepts connections until the end of the block."""
    listener = socket.create_server(("127.0.0.1", port))
    listener.settimeout(0.05)
    made, is_over, opened = Receiver(listener.getsockname()[1]), threading.Event(), list[threading.Thread]()

    def read(accepted: socket.socket) -> None:
        accepted.settimeout(10)
        try:
            connection = context.wrap_socket(accepted, server_side=True) if context else accepted
        except (OSError, ssl.SSLError):
            accepted.close()
            return
        data, most = b"", made.reset_after
        try:
            while part := connection.recv(65_536 if most is None else most):
                data += part
                if most is not None:
                    made.reset_after = None
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    return
            made.parts.append(data)
            if made.stays_open:
                is_over.wait(20)
        except OSError:
            return
        finally:
            connection.close()

    def accept() -> None:
        while not is_over.is_set():
            try:
                accepted, _ = listener.accept()
            except TimeoutError:
                continue
            thread = threading.Thread(target=read, args=(accepted,))
            opened.append(thread)
            thread.start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield made
    finally:
        is_over.set()
        accepting.join()
        listener.close()
        for thread in opened:
            thread.join(15)


@contextmanager
def udp_receiver(port: int = 0) -> Iterator[Receiver]:
    """Reads datagrams until the end of the block."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", port))
        udp.settimeout(0.05)
        made, is_over = Receiver(udp.getsockname()[1]), threading.Event()

        def read() -> None:
            while not is_over.is_set():
                try:
                    made.parts.append(udp.recv(65_536))
                except TimeoutError:
                    continue

        thread = threading.Thread(target=read)
        thread.start()
        try:
            yield made
        finally:
            is_over.set()
            thread.join()
