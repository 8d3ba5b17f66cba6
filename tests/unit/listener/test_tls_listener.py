# SPDX-License-Identifier: AGPL-3.0-or-later
"""Over real sockets, against a server of uvicorn that runs in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import resource
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from z4j import clock
from z4j.listener import certificates, ports, tls_listener
from z4j.listener.connection_limits import Connections
from z4j.listener.http_server import HttpServer
from z4j.listener.tls import ServerTls
from z4j.settings import Settings


async def whoami(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the scheme and the address of the client."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = f"{scope['scheme']} {scope['client'][0]}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@dataclass
class Served:
    """A server that runs in a thread."""

    port: int
    tls: ServerTls
    room: Connections
    data: Path
    loop: asyncio.AbstractEventLoop

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def context(self) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.load_verify_locations(self.tls.certificate_file)
        return made

    def get(self, path: str = "/") -> str:
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=self.context())
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().read().decode()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    yield from serve(tmp_path, Connections(200, 50))


def serve(folder: Path, room: Connections) -> Iterator[Served]:
    tls = ServerTls(Settings(data=folder, tls="auto"), clock.now())
    started, found = threading.Event(), {}

    async def on_start() -> None:
        found["loop"] = asyncio.get_running_loop()
        started.set()

    server = HttpServer(whoami, room, tls, on_start=on_start, on_stop=lambda: None)
    with contextlib.closing(ports.bind("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            assert started.wait(20)
            yield Served(listener.getsockname()[1], tls, room, folder, found["loop"])
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()
    assert len(room) == 0, "every connection was removed"


def seconds_until_closed(sock: socket.socket) -> float:
    began = time.monotonic()
    with contextlib.suppress(ConnectionResetError):
        while sock.recv(1000):
            pass
    return time.monotonic() - began


def test_a_page_over_tls_has_the_real_address_of_its_client(served: Served) -> None:
    assert served.get() == "https 127.0.0.1"


def test_plain_http_on_the_same_port_is_redirected_or_refused(served: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/tasks?state=failed")
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("location")) == (308, f"https://127.0.0.1:{served.port}/tasks?state=failed")
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)) as connection:
        connection.request("POST", "/tasks", body=b"x", headers={"Authorization": "Bearer secret"})
        answer = connection.getresponse()
        assert answer.status == 400
        assert b"revoke it" in answer.read()


def test_tls_older_than_1_2_is_refused(served: Served) -> None:
    context = served.context()
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    with context.wrap_socket(served.connect(), server_hostname="127.0.0.1") as sock:
        assert sock.version() == "TLSv1.2"
    old = served.context()
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionResetError)), served.connect() as raw:
        old.wrap_socket(raw, server_hostname="127.0.0.1")


def test_silent_and_slow_clients_delay_nobody_and_are_closed(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_listener, "FIRST_BYTE_WITHIN_S", 1.0)
    monkeypatch.setattr(tls_listener, "HANDSHAKE_WITHIN_S", 1.0)
    silent = [served.connect() for _ in range(20)]
    half = [served.connect() for _ in range(20)]
    for sock in half:
        sock.sendall(b"\x16\x03\x01\x02\x00")  # a handshake that never goes on
    began = time.monotonic()
    assert served.get().startswith("https")
    assert time.monotonic() - began < 1.0
    for sock in (*silent, *half):
        assert seconds_until_closed(sock) < 5
        sock.close()
    assert served.get().startswith("https")


def test_garbage_and_torn_handshakes_end_their_connection_only(served: Served) -> None:
    for data in (b"\x16", b"\x16" + b"\xff" * 600, b"\x16\x03\x01\x00\x05hello", b"\x00\x00\x00", b"SSH-2.0-x\r\n", b"\x80" * 50):
        with served.connect() as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            assert seconds_until_closed(sock) < 5
    with served.connect():
        pass
    assert served.get().startswith("https")


def test_a_reset_during_the_handshake_is_no_error_of_the_server(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    for data in (b"", b"\x16\x03\x01"):
        sock = served.connect()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        sock.sendall(data)
        sock.close()
    assert served.get().startswith("https")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_connections_that_have_not_begun_count_among_strangers(tmp_path: Path) -> None:
    """The oldest of an address is closed for a newcomer, as among connections without a credential."""
    room = Connections(100, 10)
    for served in serve(tmp_path, room):
        held = [served.connect() for _ in range(10)]
        time.sleep(0.2)
        assert served.get().startswith("https"), "the eleventh of the address"
        assert len(room) <= 10
        closed = [sock for sock in held if is_closed(sock)]
        assert len(closed) == 1
        for sock in held:
            sock.close()


def is_closed(sock: socket.socket) -> bool:
    sock.settimeout(0.2)
    try:
        return sock.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True


def test_a_renewed_certificate_is_served_to_new_connections_and_open_ones_stay(served: Served) -> None:
    context = served.context()
    connection = http.client.HTTPSConnection("127.0.0.1", served.port, timeout=10, context=context)
    with contextlib.closing(connection):
        connection.request("GET", "/")
        assert connection.getresponse().read()
        before = served.tls.certificate
        certificates.begin_rotation(served.data)
        certificates.finish_rotation(served.data, served.tls.names(), clock.now())
        asyncio.run_coroutine_threadsafe(served.tls.check(clock.now()), served.loop).result(10)
        assert served.tls.certificate.pin != before.pin
        connection.request("GET", "/again")
        assert connection.getresponse().status == 200
    assert served.get().startswith("https"), "verified with the new certificate"
    with pytest.raises(ssl.SSLCertVerificationError), served.connect() as raw:
        context.wrap_socket(raw, server_hostname="127.0.0.1")


def test_the_server_recovers_when_descriptors_run_out(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_listener, "PAUSE_S", 0.3)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    context, waiting = served.context(), socket.socket()
    used = max(int(name) for name in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used, hard))
    try:
        waiting.connect(("127.0.0.1", served.port))  # the kernel accepts it, the server cannot
        time.sleep(0.2)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    waiting.settimeout(10)
    with context.wrap_socket(waiting, server_hostname="127.0.0.1") as sock:
        assert sock.version()
    assert served.get().startswith("https")


def test_arrivals_are_removed_from_the_connections(served: Served) -> None:
    for _ in range(5):
        assert served.get().startswith("https")
    ends: Any = time.monotonic() + 5
    while len(served.room) and time.monotonic() < ends:
        time.sleep(0.02)
    assert len(served.room) == 0
    assert served.room._arrivals == {}
