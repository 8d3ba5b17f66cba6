# SPDX-License-Identifier: AGPL-3.0-or-later
"""Handshakes that strangers begin and leave cost little memory, and none once they have ended."""

from __future__ import annotations

import asyncio
import gc
import socket
from asyncio import sslproto
from pathlib import Path

from z4j import clock
from z4j.listener.connection_limits import Connections
from z4j.listener.tls import ServerTls
from z4j.listener.tls_listener import BUFFER, TlsListener
from z4j.settings import Settings


def _alive() -> int:
    return sum(isinstance(each, sslproto.SSLProtocol) for each in gc.get_objects())


def test_handshakes_that_were_ended_are_freed_without_a_collection(tmp_path: Path) -> None:
    assert sslproto.SSLProtocol.max_size == BUFFER

    async def run() -> int:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            room = Connections(1_000, 10)
            served = TlsListener(
                listening, ServerTls(Settings(data=tmp_path, tls="auto"), clock.now()), room, asyncio.Protocol, asyncio.Protocol
            )
            for _ in range(60):
                _, writer = await asyncio.open_connection(*listening.getsockname())
                writer.write(b"\x16\x03\x01\x02\x00\x01")
                await asyncio.sleep(0.005)
                writer.transport.abort()
            await asyncio.sleep(0.1)
            assert len(room) <= 10
            found = _alive()
            served.close()
            await served.wait_closed()
            return found

    gc.collect()
    gc.disable()
    try:
        assert asyncio.run(run()) <= 10
    finally:
        gc.enable()
