# SPDX-License-Identifier: AGPL-3.0-or-later
"""A heartbeat reaches a real endpoint only while everything works; what is secret in its address is in no message."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from tests.support.database import database
from tests.support.endpoints import endpoint
from z4j.background.outgoing_heartbeat import NAME, HeartbeatFailed, OutgoingHeartbeat
from z4j.duty_loop import Duties
from z4j.exceptions import StoreError

pytestmark = pytest.mark.anyio


async def test_it_is_sent_while_everything_works(tmp_path: Path) -> None:
    with endpoint() as server:
        async with database(tmp_path) as store:
            duties = Duties()
            duties.add(NAME, 60).failed(OSError("its own failure does not end it"))
            beat = OutgoingHeartbeat(store, duties, f"{server.url}/ping/secret-id")
            await beat.round(0)
            assert [path for path, _, _ in server.received] == ["/ping/secret-id"]
            duties.add("retention", 1).failed(OSError("no room"))
            with pytest.raises(HeartbeatFailed, match="retention"):
                await beat.round(0)
            assert len(server.received) == 1
            duties.add("retention", 1).succeeded()
            await beat.round(0)
            assert len(server.received) == 2
        with pytest.raises(StoreError):
            await beat.round(0)
        assert len(server.received) == 2


async def test_a_failure_says_why_without_the_address(tmp_path: Path) -> None:
    with endpoint() as server:
        async with database(tmp_path) as store:
            server.statuses[:] = [404]
            for url, why in ((f"{server.url}/secret-id", "status 404"), ("http://127.0.0.1:1/secret-id", "could not be reached")):
                with pytest.raises(HeartbeatFailed, match=why) as failed:
                    await OutgoingHeartbeat(store, Duties(), url).round(0)
                assert "secret-id" not in failed.value.message


async def test_a_service_cannot_send_it_elsewhere(tmp_path: Path) -> None:
    with endpoint() as server:
        async with database(tmp_path) as store:
            server.statuses[:] = [302]
            with pytest.raises(HeartbeatFailed, match="status 302"):
                await OutgoingHeartbeat(store, Duties(), f"{server.url}/secret-id").round(0)
            assert len(server.received) == 1


async def test_what_answers_something_else_than_http_is_a_reason(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4_096)
                connection.sendall(b"secret-id is no HTTP\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        async with database(tmp_path) as store:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/secret-id"
            with pytest.raises(HeartbeatFailed, match="could not be reached") as failed:
                await OutgoingHeartbeat(store, Duties(), url).round(0)
        thread.join()
    assert "secret-id" not in failed.value.message
