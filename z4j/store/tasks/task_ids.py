# SPDX-License-Identifier: AGPL-3.0-or-later
"""Encodes task ids for the database: a canonical UUID as its 16 bytes, anything else as 0x00 and its UTF-8."""

from __future__ import annotations

import re
from typing import Final

_UUID_START: Final = re.compile(r"[0-9a-f-]{1,36}")


def encode(text: str) -> bytes:
    """Returns the bytes that are stored for a task id. `text` contains no NUL and no lone surrogate."""
    if len(text) == 36 and text[8] == text[13] == text[18] == text[23] == "-":
        digits = text.replace("-", "")
        try:
            raw = bytes.fromhex(digits)
        except ValueError:
            raw = b""
        if raw.hex() == digits and len(raw) == 16:  # written as `decode` does
            return raw
    rest = text.encode()
    # A text of 15 bytes would come out as long as a UUID; it gets a second NUL, which no text begins with.
    return b"\0\0" + rest if len(rest) == 15 else b"\0" + rest


def decode(raw: bytes) -> str:
    """Returns the task id of stored bytes."""
    return _uuid(raw) if is_uuid(raw) else raw.lstrip(b"\0").decode()


def is_uuid(raw: bytes) -> bool:
    """Whether stored bytes are those of a canonical UUID."""
    return len(raw) == 16


def _uuid(raw: bytes) -> str:
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def ranges(prefix: str) -> list[tuple[bytes, bytes]]:
    """Returns the ranges of stored bytes, the end excluded, in which all task ids lie that begin with a text; none for no text."""
    if not prefix:
        return []
    found = []
    digits = prefix.replace("-", "")
    if _UUID_START.fullmatch(prefix) and digits and _uuid(bytes.fromhex(digits.ljust(32, "0"))).startswith(prefix):
        last = int(digits, 16) + 1
        high = bytes.fromhex(f"{last:x}".rjust(len(digits), "0").ljust(32, "0")) if last < 16 ** len(digits) else b"\xff" * 17
        found.append((bytes.fromhex(digits.ljust(32, "0")), high))
    rest = prefix.encode()
    after = rest[:-1] + bytes([rest[-1] + 1])
    return [*found, (b"\0" + rest, b"\0" + after), (b"\0\0" + rest, b"\0\0" + after)]
