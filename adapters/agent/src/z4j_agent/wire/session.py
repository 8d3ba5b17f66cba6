# SPDX-License-Identifier: Apache-2.0
"""The agent's side of the protocol as a state machine: frames in, events out, no I/O, no clock.

`connection.py` is its one shell. After each `receive` the shell must handle the returned event; after each `send_*` it must
send the returned frame. States: NEW → HELLO_SENT → OPEN → CLOSED.
"""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass, field
from typing import Any

from z4j_agent import wire


class State(enum.Enum):
    """The state of a `Session`: NEW before the hello, OPEN from the welcome on, CLOSED after a goodbye, an error frame or the end of the
    connection."""

    NEW = "new"
    HELLO_SENT = "hello sent"
    OPEN = "open"
    CLOSED = "closed"


class ProtocolError(Exception):
    """The server sent an invalid frame. The connection must be closed and opened again later."""


@dataclass(frozen=True, slots=True)
class Welcomed:
    """The server has accepted the agent; batches may be sent. `heartbeat_s` is in seconds, `window` in batches, `at` in microseconds UTC of
    the server's clock; `seal_key` is the ID of the app's key, None if it has none."""

    heartbeat_s: float
    window: int
    seal_key: str | None
    at: int
    audit_head: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Acked:
    """The batch with this sequence number, and all before it, are committed. `audit_head` if the server has a newer one."""

    seq: int
    audit_head: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A command of an operator. `expires_at` is in microseconds UTC of the server's clock."""

    id: str
    action: str
    engine: str
    expires_at: int
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The server is about to close the connection, with one of the codes of `wire.CLOSE`, a reason, and what to do ("" if not reported)."""

    code: int
    message: str
    hint: str = ""


Event = Welcomed | Acked | Command | Refusal


class Session:
    """The protocol state of one connection."""

    def __init__(self) -> None:
        self.state = State.NEW
        self.window = wire.WINDOW
        self.seq = 0
        self.acked = 0

    @property
    def may_send_batch(self) -> bool:
        """Whether the window has room for one more unacked batch."""
        return self.state is State.OPEN and self.seq - self.acked < self.window

    # -- out -----------------------------------------------------------------------------------------------------------
    def send_hello(self, facts: dict[str, Any]) -> str:
        """Returns the first frame; `facts` are the fields of `hello` in `wire.AGENT_FRAMES` without `protocol`. Raises ProtocolError if one
        was sent before."""
        if self.state is not State.NEW:
            raise ProtocolError("hello is the first frame and is sent once")
        self.state = State.HELLO_SENT
        return _frame("hello", {"protocol": wire.PROTOCOL, **facts})

    def send_batch(self, records: bytes) -> tuple[int, bytes]:
        """Returns the sequence number of a batch, from 1 on, and its binary frame. Raises ProtocolError unless `may_send_batch`."""
        if not self.may_send_batch:
            raise ProtocolError("no room in the window, or no welcome yet")
        self.seq += 1
        return self.seq, wire.pack_batch(self.seq, records)

    def send_heartbeat(self, facts: dict[str, Any]) -> str:
        """Returns a text frame; `facts` are the fields of `heartbeat` in `wire.AGENT_FRAMES`. Raises ProtocolError unless the session is
        open."""
        return self._open_frame("heartbeat", facts)

    def send_discovery(self, facts: dict[str, Any]) -> str:
        """Returns a text frame; `facts` are the fields of `discovery`. Its length is not checked. Raises ProtocolError unless the session
        is open."""
        return self._open_frame("discovery", facts)

    def send_schedules(self, facts: dict[str, Any]) -> str:
        """Returns a text frame; `facts` are the fields of `schedules`. Its length is not checked. Raises ProtocolError unless the session
        is open."""
        return self._open_frame("schedules", facts)

    def send_goodbye(self, reason: str) -> str:
        """Returns the last frame, and closes the session. Raises ProtocolError unless the session is open."""
        frame = self._open_frame("goodbye", {"reason": reason})
        self.state = State.CLOSED
        return frame

    def _open_frame(self, kind: str, facts: dict[str, Any]) -> str:
        if self.state is not State.OPEN:
            raise ProtocolError(f"{kind} needs an open session; this one is {self.state.value}")
        return _frame(kind, facts)

    # -- in ------------------------------------------------------------------------------------------------------------
    def receive(self, frame: str | bytes) -> Event:
        """Reads one frame of the server and returns it as an event. Raises ProtocolError for anything this state does not expect."""
        if isinstance(frame, bytes):
            raise ProtocolError("the server sends text frames only")
        try:
            message = json.loads(frame)
            kind = message["type"]
        except (ValueError, TypeError, KeyError) as error:
            raise ProtocolError("a frame is a JSON object with a type") from error
        try:
            return self._read(kind, message)
        except (KeyError, TypeError, ValueError, OverflowError) as error:  # OverflowError: Infinity, which `json.loads` accepts
            raise ProtocolError(f"the server's {kind!r} frame lacks a field or has one of another type") from error

    def closed(self) -> None:
        """Sets the state after the connection has ended."""
        self.state = State.CLOSED

    def _read(self, kind: str, message: dict[str, Any]) -> Event:
        if kind == "error":
            self.state = State.CLOSED
            return Refusal(int(message["code"]), str(message["message"]), str(message.get("hint") or ""))
        if kind == "welcome" and self.state is State.HELLO_SENT:
            self.state = State.OPEN
            self.window = max(1, int(message["window"]))
            return Welcomed(
                float(message["heartbeat_s"]),
                self.window,
                message.get("seal_key"),
                int(message["at"]),
                _head(message),
            )
        if kind == "ack" and self.state is State.OPEN:
            seq = int(message["seq"])
            if not self.acked <= seq <= self.seq:
                raise ProtocolError(f"ack of batch {seq}, which was never sent")
            self.acked = seq
            return Acked(seq, _head(message))
        if kind == "command" and self.state is State.OPEN:
            params = message["params"]
            if not isinstance(params, dict):
                raise TypeError("params is an object")
            return Command(str(message["id"]), str(message["action"]), str(message["engine"]), int(message["expires_at"]), params)
        raise ProtocolError(f"frame {kind!r} is not expected while {self.state.value}")


def _head(message: dict[str, Any]) -> dict[str, Any] | None:
    head = message.get("audit_head")
    return head if isinstance(head, dict) else None


def _frame(kind: str, facts: dict[str, Any]) -> str:
    return json.dumps({"type": kind, **facts}, separators=(",", ":"), default=str)
