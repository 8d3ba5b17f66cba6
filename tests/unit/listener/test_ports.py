# SPDX-License-Identifier: AGPL-3.0-or-later
"""The socket the server listens on."""

from __future__ import annotations

import asyncio
import socket

import pytest

from z4j.listener import ports

pytestmark = pytest.mark.anyio


async def test_a_small_answer_is_sent_at_once() -> None:
    """Otherwise the body of every page waits for the acknowledgement of its head, which a client delays by 40 ms."""
    accepted: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set_result(bool(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
        writer.close()

    listener = ports.bind("127.0.0.1", 0)
    async with await asyncio.start_server(answer, sock=listener):
        _, writer = await asyncio.open_connection(*listener.getsockname())
        assert await asyncio.wait_for(accepted, 10)
        writer.close()
