# SPDX-License-Identifier: AGPL-3.0-or-later
"""Encodes task ids for the database: a canonical UUID as its 16 bytes, anything else as 0x00 and its UTF-8."""

from __future__ import annotations


def encode(text: str) -> bytes:
    """Returns the bytes that are stored for a task id. `text` contains no NUL and no lone surrogate."""
    if len(text) == 36:
        try:
            raw = bytes.fromhex(text.replace("-", ""))
        except ValueError:
            raw = b""
        if len(raw) == 16 and _uuid(raw) == text:
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
