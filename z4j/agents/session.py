# SPDX-License-Identifier: AGPL-3.0-or-later
"""The server's side of the protocol as a state machine: frames in, events out, no I/O and no clock.

`gateway.py` is its one shell. States: NEW (waiting for hello) → OPEN → CLOSED. Anything the protocol does not allow raises
`ProtocolError` with the close code the shell must use; the session is closed from then on.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from z4j.text import JsonObject
from z4j.wire.frames import Discovery, Goodbye, Heartbeat, Hello, Schedules, decode_frame
from z4j_agent import wire

OLDEST_PROTOCOL = max(1, wire.PROTOCOL - 1)
ROLES = ("worker", "producer", "scheduler")
LEVELS = ("read", "operate", "all")


class State(enum.Enum):
    NEW = "new"
    OPEN = "open"
    CLOSED = "closed"


class ProtocolError(Exception):
    """The peer broke the protocol; close with `code`. The message is safe to show to the peer."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Batch:
    """Records to ingest; ack `seq` once they are committed."""

    seq: int
    records: bytes


Event = Hello | Discovery | Heartbeat | Schedules | Goodbye | Batch


class Session:
    """One agent's connection."""

    def __init__(self, window: int = wire.WINDOW) -> None:
        self.state = State.NEW
        self.window = window
        self.protocol = 0
        self._received = 0
        self._acked = 0

    # -- in ------------------------------------------------------------------------------------------------------------
    def receive_text(self, frame: str) -> Event:
        """Returns a text frame as an event. Raises ProtocolError."""
        self._refuse_if_closed()
        if len(frame) > wire.MAX_FRAME:
            raise self._fail(wire.TOO_BIG, f"a frame has at most {wire.MAX_FRAME} bytes")
        try:
            message = decode_frame(frame)
        except ValueError as error:
            raise self._fail(wire.MALFORMED, f"invalid frame: {str(error)[:200]}") from error
        if isinstance(message, Hello):
            return self._accept_hello(message)
        if self.state is State.NEW:
            raise self._fail(wire.MALFORMED, "the first frame is hello")
        if isinstance(message, Goodbye):
            self.state = State.CLOSED
        return message

    def receive_bytes(self, frame: bytes) -> Batch:
        """Returns a batch. Raises ProtocolError if it is torn, too large, out of order or beyond the window."""
        self._refuse_if_closed()
        if self.state is State.NEW:
            raise self._fail(wire.MALFORMED, "the first frame is hello")
        if len(frame) > wire.MAX_FRAME:
            raise self._fail(wire.TOO_BIG, f"a frame has at most {wire.MAX_FRAME} bytes")
        try:
            seq, records = wire.unpack_batch(frame)
        except ValueError as error:
            raise self._fail(wire.MALFORMED, str(error)) from error
        if seq != self._received + 1:
            raise self._fail(wire.MALFORMED, f"batch {seq} where {self._received + 1} was expected")
        if seq - self._acked > self.window:
            raise self._fail(wire.MALFORMED, f"more than {self.window} batches without an ack")
        self._received = seq
        return Batch(seq, records)

    def closed(self) -> None:
        """Ends the session after the connection ended."""
        self.state = State.CLOSED

    # -- out -----------------------------------------------------------------------------------------------------------
    def send_welcome(self, facts: JsonObject) -> JsonObject:
        """Returns the answer to a hello."""
        return {"type": "welcome", "protocol": self.protocol, "window": self.window, **facts}

    def send_ack(self, seq: int) -> JsonObject:
        """Returns the acknowledgement of all batches up to `seq`. Raises ValueError for a batch that was never received."""
        if not self._acked < seq <= self._received:
            raise ValueError(f"batch {seq} was not received or is acked already")
        self._acked = seq
        return {"type": "ack", "seq": seq}

    def show_head(self, audit_head: JsonObject) -> JsonObject:
        """Returns the frame of a new checkpoint of the audit log: an acknowledgement of what is acknowledged already, which every agent
        understands."""
        return {"type": "ack", "seq": self._acked, "audit_head": audit_head}

    @staticmethod
    def send_error(code: int, message: str, hint: str = "") -> JsonObject:
        """Returns the last frame before a close."""
        return {"type": "error", "code": code, "message": message, "hint": hint}

    # -- pieces --------------------------------------------------------------------------------------------------------
    def _accept_hello(self, hello: Hello) -> Hello:
        if self.state is State.OPEN:
            raise self._fail(wire.MALFORMED, "hello is sent once")
        if not OLDEST_PROTOCOL <= hello.protocol <= wire.PROTOCOL:
            raise self._fail(
                wire.BAD_PROTOCOL, f"protocol {hello.protocol} is not supported. This server supports {OLDEST_PROTOCOL} to {wire.PROTOCOL}"
            )
        if hello.role not in ROLES or hello.allow not in LEVELS:
            raise self._fail(wire.MALFORMED, f"role is one of {ROLES}, allow one of {LEVELS}")
        self.protocol = hello.protocol
        self.state = State.OPEN
        return hello

    def _refuse_if_closed(self) -> None:
        if self.state is State.CLOSED:
            raise ProtocolError(wire.MALFORMED, "the session is over")

    def _fail(self, code: int, message: str) -> ProtocolError:
        self.state = State.CLOSED
        return ProtocolError(code, message)
