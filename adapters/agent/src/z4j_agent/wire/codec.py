# SPDX-License-Identifier: Apache-2.0
"""Encodes records as bytes, and batches of records as binary frames. Standard library only."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from json.encoder import c_make_encoder, encode_basestring  # type: ignore[attr-defined]
from json.encoder import encode_basestring_ascii as quote
from typing import Any

from z4j_agent.wire.kinds import RECORD_END, RECORD_START

__all__ = ["digest_of", "encode_record", "make_encoder", "pack_batch", "quote", "split_records", "unpack_batch"]

_SEQ = struct.Struct(">Q")
_refuse = json.JSONEncoder().default
"""Raises TypeError for a value without a form in JSON."""


def encode_record(record: list[Any]) -> bytes:
    """Returns one record as ASCII bytes with its framing, ready for a single `write`. Lone surrogates are written as JSON escapes. Raises
    TypeError for a value without a JSON form, ValueError or RecursionError for a list or dict that contains itself."""
    return RECORD_START + json.dumps(record, separators=(",", ":"), ensure_ascii=True).encode("ascii") + RECORD_END


def make_encoder(separators: tuple[str, str], *, is_ascii: bool = True, default: Callable[[Any], Any] = _refuse) -> Callable[[Any], str]:
    """`json.dumps` with these options, prepared: the standard library makes an encoder for each call, which costs 1 to 2 µs.

    A value that contains itself raises RecursionError, not ValueError.
    """
    between, behind_key = separators
    try:
        chunks = c_make_encoder(None, default, quote if is_ascii else encode_basestring, None, behind_key, between, False, False, True)
        if "".join(chunks({"a": [1, "b", None]}, 0)) != json.dumps({"a": [1, "b", None]}, separators=separators):
            raise TypeError
    except TypeError:  # another Python: there is none in C, or it is called in another way
        return json.JSONEncoder(ensure_ascii=is_ascii, separators=separators, default=default).encode
    return lambda value: "".join(chunks(value, 0))


def digest_of(value: Any) -> str:
    """Returns a digest of a JSON value, with which both ends compare values: 16 hexadecimal digits of SHA-256. The order of keys does not
    matter. Raises TypeError for a value without a JSON form."""
    import hashlib  # costs a millisecond of import time, and few processes need it

    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


def split_records(data: bytes) -> list[bytes]:
    """Returns the complete records inside `data`, without their framing. Torn records are left out."""
    return [part[:-1] for part in data.split(RECORD_START) if part.endswith(RECORD_END)]


def pack_batch(seq: int, records: bytes) -> bytes:
    """Returns a binary frame: sequence number, then records exactly as in the spool."""
    return _SEQ.pack(seq) + records


def unpack_batch(frame: bytes) -> tuple[int, bytes]:
    """Reverses `pack_batch`. Raises ValueError if the frame is too short for a sequence number."""
    if len(frame) < _SEQ.size:
        raise ValueError("a batch has at least eight bytes")
    return _SEQ.unpack_from(frame)[0], frame[_SEQ.size :]
