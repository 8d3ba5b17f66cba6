# SPDX-License-Identifier: AGPL-3.0-or-later
"""One connection from hello to its end: what is stored, what is answered, and why it is closed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from tests.unit.agents.test_audit_witnesses import HELLO, Site
from tests.unit.agents.test_audit_witnesses import site as site  # noqa: PLC0414 -- a fixture
from z4j.agents import gateway, ingest
from z4j.exceptions import StoreError
from z4j.store.fleet import agents
from z4j.store.fleet.agents import AgentRow
from z4j_agent import wire
from z4j_agent.wire import records

STARTED = records.started("celery", "t", 0, 1_795_000_000_000_000, "b00t.7", "shop.ship", "work")
HEARTBEAT = {"type": "heartbeat", "at": 1, "running": [], "spool_bytes": 0, "dropped": 0, "faults": 0, "shipper": True}


def say(socket: WebSocketTestSession, **frame: Any) -> None:
    socket.send_text(json.dumps(frame))


def hear(socket: WebSocketTestSession) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(socket.receive_text())
    return found


def greet(socket: WebSocketTestSession, **facts: Any) -> dict[str, Any]:
    say(socket, **(HELLO | facts))
    return hear(socket)


def close_code(socket: WebSocketTestSession) -> int:
    try:
        while True:
            socket.receive_text()
    except WebSocketDisconnect as closed:
        return closed.code


def wait_until(probe: Callable[[], bool]) -> None:
    ends = time.monotonic() + 20
    while not probe():
        assert time.monotonic() < ends
        time.sleep(0.02)


def known(site: Site) -> AgentRow:
    [row] = site.call(agents.list_agents, site.server.store)
    assert isinstance(row, AgentRow)
    return row


def tasks(site: Site) -> list[Any]:
    found: list[Any] = site.call(site.server.store.fetch_all, "SELECT count(*) FROM task")
    return found


def test_a_batch_is_stored_before_it_is_acked(site: Site) -> None:
    with site.connect() as socket:
        assert greet(socket)["type"] == "welcome"
        socket.send_bytes(wire.pack_batch(1, STARTED))
        assert hear(socket) == {"type": "ack", "seq": 1}
        assert tasks(site) == [(1,)]


def test_a_batch_that_cannot_be_stored_is_not_acked_and_the_agent_is_told_to_come_back(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*args: Any, **options: Any) -> Any:
        raise StoreError("the disk is full")

    monkeypatch.setattr(ingest, "ingest_batch", fail)
    with site.connect() as socket:
        greet(socket)
        socket.send_bytes(wire.pack_batch(1, STARTED))
        answer = hear(socket)
        assert (answer["type"], answer["code"]) == ("error", wire.STOPPING)
        assert close_code(socket) == wire.STOPPING
    assert site.server.gateway.backpressure.bytes_of(1) == 0
    assert site.server.gateway.duty.failures == 1


def test_whoever_sends_no_hello_is_closed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "HELLO_WITHIN_S", 0.05)
    with site.connect() as socket:
        assert close_code(socket) == wire.NO_HELLO
    assert site.call(agents.list_agents, site.server.store) == []


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([json.dumps(HEARTBEAT)], wire.MALFORMED),
        (["no JSON"], wire.MALFORMED),
        ([json.dumps(HELLO | {"protocol": 99})], wire.BAD_PROTOCOL),
        ([json.dumps(HELLO), json.dumps(HELLO)], wire.MALFORMED),
        ([json.dumps(HELLO), b"torn"], wire.MALFORMED),
        ([json.dumps(HELLO), wire.pack_batch(2, STARTED)], wire.MALFORMED),
    ],
    ids=["no hello first", "no JSON", "unknown protocol", "hello twice", "torn batch", "batch out of order"],
)
def test_whoever_breaks_the_protocol_is_told_why_closed_and_counted(site: Site, frames: list[str | bytes], code: int) -> None:
    with site.connect() as socket:
        for frame in frames:
            socket.send_text(frame) if isinstance(frame, str) else socket.send_bytes(frame)
        found = [hear(socket) for _ in range(len(frames))]
        assert (found[-1]["type"], found[-1]["code"]) == ("error", code)
        assert close_code(socket) == code
    assert tasks(site) == [(0,)]
    wait_until(lambda: site.server.hub.all() == [])
    refused = site.call(site.server.store.fetch_all, "SELECT cause, events FROM refused")
    assert refused == [(f"session: {wire.CLOSE[code]}", 1)]


def test_goodbye_is_an_orderly_end_and_a_cut_is_none(site: Site) -> None:
    with site.connect() as socket:
        greet(socket)
        assert (known(site).boot, known(site).left_at) == ("b00t", None)
        assert [link.boot for link in site.server.hub.all()] == ["b00t"]
        say(socket, type="goodbye", reason="worker shut down")
        wait_until(lambda: known(site).left_at is not None)
    assert (known(site).is_orderly, known(site).left_reason) == (True, "worker shut down")
    with site.connect() as socket:
        greet(socket)
        assert known(site).left_at is None
        socket.close(1006)
        wait_until(lambda: known(site).left_at is not None)
    assert not known(site).is_orderly
    assert site.server.hub.all() == []


def test_a_second_connection_of_a_process_replaces_the_first(site: Site) -> None:
    with site.connect() as first:
        greet(first)
        with site.connect() as second:
            greet(second)
            assert close_code(first) == wire.DUPLICATE
            assert len(site.server.hub.all()) == 1
            second.send_bytes(wire.pack_batch(1, STARTED))
            assert hear(second)["type"] == "ack"
            assert known(site).left_at is None, "the end of the first is not the end of the process"


def test_every_agent_is_told_when_the_server_stops(site: Site) -> None:
    async def stop() -> None:
        site.server.gateway.close_all()

    with site.connect() as socket:
        greet(socket)
        site.call(stop)
        assert close_code(socket) == wire.STOPPING
