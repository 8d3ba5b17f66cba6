# SPDX-License-Identifier: AGPL-3.0-or-later
"""Frames in, events and close codes out; no socket anywhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from z4j.agents.session import Batch, ProtocolError, Session, State
from z4j.wire.frames import Discovery, Goodbye, Heartbeat, Hello
from z4j_agent import wire

AT = 1_760_000_000_000_000


def hello(**changes: Any) -> str:
    said = {
        "type": "hello", "protocol": wire.PROTOCOL, "agent_version": "0.1.0", "boot": "b1", "spool": "s1", "host": "h", "pid": 7,
        "role": "worker", "worker": "w@h", "environment": "production", "engines": {"celery": "5.7.0"}, "capabilities": [],
        "allow": "operate", "denied": [], "shipper": True, "at": AT,
    }  # fmt: skip
    return json.dumps(said | changes)


def opened() -> Session:
    session = Session()
    assert isinstance(session.receive_text(hello()), Hello)
    return session


def code_of(act: Any) -> int:
    with pytest.raises(ProtocolError) as refused:
        act()
    return refused.value.code


def test_hello_opens() -> None:
    session = Session()
    said = session.receive_text(hello())
    assert isinstance(said, Hello)
    assert said.worker == "w@h"
    assert session.state is State.OPEN
    assert session.protocol == wire.PROTOCOL
    welcome = session.send_welcome({"session": "x"})
    assert welcome == {"type": "welcome", "protocol": wire.PROTOCOL, "window": wire.WINDOW, "session": "x"}


@pytest.mark.parametrize("protocol", [0, wire.PROTOCOL + 1, 99])
def test_unserved_protocol_is_told_apart(protocol: int) -> None:
    session = Session()
    assert code_of(lambda: session.receive_text(hello(protocol=protocol))) == wire.BAD_PROTOCOL
    assert session.state is State.CLOSED


@pytest.mark.parametrize(
    "frame",
    [
        "{]", "[]", "3", '{"type": "dance"}', '{"type": "hello"}', hello(role="boss"), hello(allow="everything"), hello(pid="seven"),
        hello(boot="a\x00b"), '{"type": "heartbeat"}',
    ],
)  # fmt: skip
def test_what_is_no_hello_is_malformed(frame: str) -> None:
    session = Session()
    assert code_of(lambda: session.receive_text(frame)) == wire.MALFORMED
    assert session.state is State.CLOSED


def test_nothing_comes_before_hello() -> None:
    beat = json.dumps({"type": "heartbeat", "at": AT, "running": [], "spool_bytes": 0, "dropped": 0, "faults": 0, "shipper": True})
    assert code_of(lambda: Session().receive_text(beat)) == wire.MALFORMED
    assert code_of(lambda: Session().receive_bytes(wire.pack_batch(1, b""))) == wire.MALFORMED


def test_hello_is_said_once() -> None:
    session = opened()
    assert code_of(lambda: session.receive_text(hello())) == wire.MALFORMED


def test_what_an_open_session_understands() -> None:
    session = opened()
    beat = {"type": "heartbeat", "at": AT, "running": [], "spool_bytes": 0, "dropped": 0, "faults": 0, "shipper": True}
    assert isinstance(session.receive_text(json.dumps(beat)), Heartbeat)
    found = {"type": "discovery", "engine": "celery", "tasks": [["shop.ship", "(order)", "", None]], "queues": []}
    assert isinstance(session.receive_text(json.dumps(found)), Discovery)
    assert isinstance(session.receive_text('{"type": "goodbye", "reason": "done"}'), Goodbye)
    assert session.state is State.CLOSED
    assert code_of(lambda: session.receive_text(json.dumps(beat))) == wire.MALFORMED


def test_batches_come_in_order_and_are_acked_once() -> None:
    session = opened()
    assert session.receive_bytes(wire.pack_batch(1, b"\x1e[]\n")) == Batch(1, b"\x1e[]\n")
    session.receive_bytes(wire.pack_batch(2, b""))
    assert session.send_ack(2) == {"type": "ack", "seq": 2}
    with pytest.raises(ValueError, match="acked already"):
        session.send_ack(1)
    with pytest.raises(ValueError, match="not received"):
        session.send_ack(3)
    assert code_of(lambda: session.receive_bytes(wire.pack_batch(4, b""))) == wire.MALFORMED


def test_the_window_is_kept() -> None:
    session = opened()
    for seq in range(1, wire.WINDOW + 1):
        session.receive_bytes(wire.pack_batch(seq, b""))
    assert code_of(lambda: session.receive_bytes(wire.pack_batch(wire.WINDOW + 1, b""))) == wire.MALFORMED


def test_size_and_shape_of_batches() -> None:
    assert code_of(lambda: opened().receive_bytes(b"\x00\x01")) == wire.MALFORMED
    assert code_of(lambda: opened().receive_bytes(b"x" * (wire.MAX_FRAME + 1))) == wire.TOO_BIG
    assert code_of(lambda: opened().receive_text("x" * (wire.MAX_FRAME + 1))) == wire.TOO_BIG


def test_a_closed_session_takes_nothing() -> None:
    session = opened()
    session.closed()
    assert code_of(lambda: session.receive_bytes(wire.pack_batch(1, b""))) == wire.MALFORMED


def test_the_last_frame_says_why() -> None:
    assert Session.send_error(4401, "no", "do") == {"type": "error", "code": 4401, "message": "no", "hint": "do"}
