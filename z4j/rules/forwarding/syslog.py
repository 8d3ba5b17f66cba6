# SPDX-License-Identifier: AGPL-3.0-or-later
"""Messages of syslog (RFC 5424) with octet counting (RFC 6587, RFC 5425). The text of a message is JSON in ASCII, so it has no control
characters and needs no byte order mark."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from z4j import __version__
from z4j.rules.forwarding.events import Outgoing, shortened

LOG_AUDIT: Final = 13
LOCAL0: Final = 16
"""Facilities."""
LONGEST: Final = 8_000
"""Bytes of the JSON: receivers take at least 2,048, and most of them 8,192, for a whole message."""
_NIL: Final = "-"


def message(outgoing: Outgoing, host: str, pid: int) -> bytes:
    """Returns one message. `host` is the name of this host."""
    facility = LOG_AUDIT if outgoing.stream == "audit" else LOCAL0
    at = datetime.fromtimestamp(outgoing.at / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    data = f'[origin software="z4j" swVersion="{__version__}"]'
    head = f"<{facility * 8 + outgoing.severity}>1 {at} {field(host, 255)} z4j {pid} {field(outgoing.stream, 32)} {data}"
    return f"{head} {shortened(outgoing, LONGEST).text}".encode("ascii")


def counted(frame: bytes) -> bytes:
    """Returns a message with the number of its bytes in front, for TCP and TLS."""
    return b"%d %b" % (len(frame), frame)


def field(text: str, longest: int) -> str:
    """Returns a text as a field of the header: printable ASCII without blanks, `-` for none."""
    return "".join(letter for letter in text if "!" <= letter <= "~")[:longest] or _NIL
