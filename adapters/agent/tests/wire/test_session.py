# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from z4j_agent import wire
from z4j_agent.wire.session import Acked, Command, ProtocolError, Refusal, Session, State, Welcomed

WELCOME = {"type": "welcome", "protocol": 1, "server_version": "0", "session": "s", "at": 7, "heartbeat_s": 2, "window": 2}


def opened(**changes: object) -> Session:
    session = Session()
    session.send_hello({"boot": "b"})
    session.receive(json.dumps(WELCOME | changes))
    return session


def test_hello_then_welcome() -> None:
    session = Session()
    assert not session.may_send_batch
    assert json.loads(session.send_hello({"boot": "b"})) == {"type": "hello", "protocol": 1, "boot": "b"}
    assert session.state is State.HELLO_SENT
    head = {"seq": 1}
    assert session.receive(json.dumps(WELCOME | {"audit_head": head, "seal_key": "k"})) == Welcomed(2.0, 2, "k", 7, head)
    assert session.may_send_batch
    assert opened(audit_head="x").state is State.OPEN


def test_window_fills_and_acks_are_cumulative() -> None:
    session = opened()
    assert wire.unpack_batch(session.send_batch(b"a")[1]) == (1, b"a")
    assert session.send_batch(b"b")[0] == 2
    assert not session.may_send_batch
    with pytest.raises(ProtocolError, match="no room"):
        session.send_batch(b"c")
    assert session.receive('{"type":"ack","seq":2}') == Acked(2)
    assert session.send_batch(b"c")[0] == 3


def test_an_ack_of_nothing_new_carries_a_checkpoint() -> None:
    """That is how an idle agent is shown one, whether it has sent a batch yet or not."""
    session, head = opened(), {"seq": 7}
    assert session.receive(json.dumps({"type": "ack", "seq": 0, "audit_head": head})) == Acked(0, head)
    session.send_batch(b"a")
    assert session.receive('{"type":"ack","seq":1}') == Acked(1)
    assert session.receive(json.dumps({"type": "ack", "seq": 1, "audit_head": head})) == Acked(1, head)


def test_a_command_and_a_refusal() -> None:
    session = opened()
    frame = {"type": "command", "id": "c", "action": "cancel_task", "engine": "e", "expires_at": 9, "params": {"task_id": "t"}}
    assert session.receive(json.dumps(frame)) == Command("c", "cancel_task", "e", 9, {"task_id": "t"})
    assert session.receive('{"type":"error","code":4401,"message":"no"}') == Refusal(4401, "no", "")
    assert session.state is State.CLOSED


@pytest.mark.parametrize("frame", [
    b"binary", "{", "[]", "7", '{"no":"type"}', '{"type":"dance"}', '{"type":"ack","seq":9}', '{"type":"ack"}', '{"type":"ack","seq":"x"}',
    '{"type":"welcome"}', '{"type":"command","id":"c","action":"a","engine":"e","expires_at":1,"params":[]}', '{"type":"error"}',
    '{"type":"ack","seq":Infinity}', '{"type":"ack","seq":NaN}',
])  # fmt: skip
def test_what_the_server_may_not_send(frame: str | bytes) -> None:
    with pytest.raises(ProtocolError):
        opened().receive(frame)


@pytest.mark.parametrize("frame", ['{"type":"ack","seq":0}', json.dumps(WELCOME), '{"type":"command"}'])
def test_nothing_before_hello(frame: str) -> None:
    with pytest.raises(ProtocolError, match="not expected while new"):
        Session().receive(frame)


def test_frames_of_an_open_session_only() -> None:
    session = opened()
    with pytest.raises(ProtocolError):
        session.send_hello({})
    assert json.loads(session.send_heartbeat({"at": 1})) == {"type": "heartbeat", "at": 1}
    assert json.loads(session.send_discovery({"engine": "e"}))["type"] == "discovery"
    assert json.loads(session.send_goodbye("end")) == {"type": "goodbye", "reason": "end"}
    with pytest.raises(ProtocolError, match="this one is closed"):
        session.send_heartbeat({})
    again = opened()
    again.closed()
    assert not again.may_send_batch
