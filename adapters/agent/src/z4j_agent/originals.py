# SPDX-License-Identifier: Apache-2.0
"""The engine's own message, kept so that it can be sent again: plain when nothing in it was masked, else sealed.

A blob begins with a format byte: 0 JSON, 1 zlib of JSON, 2 sealed (12 bytes nonce, then AES-256-GCM of format 0 or 1). The seal binds
the blob to its engine and task id, so that one original cannot be passed off as another's. The server holds ciphertext only.
"""

from __future__ import annotations

import json
import os
import zlib
from typing import Any

from z4j_agent.settings import SealKey

MAX_ORIGINAL = 64 * 1024
"""Bytes of a blob; a larger message is `too_large` and the engine's own store is asked instead."""
MAX_TEXT = 1024 * 1024
"""Characters of a message that is worth compressing at all: what is larger would cost the host time and not fit anyway."""
_JSON, _ZLIB, _SEALED = b"\x00", b"\x01", b"\x02"
_SMALL = 256
MAX_PLAIN_DEPTH = 32
_encode = json.JSONEncoder(separators=(",", ":")).encode  # once: making an encoder costs 2 µs


class CannotOpen(Exception):
    """This process has no key for that original, or the blob is not what its task says it is."""


def _pack(data: dict[str, Any]) -> bytes:
    text = _encode(data).encode("ascii")
    if len(text) <= _SMALL or len(text) > MAX_TEXT:
        return _JSON + text
    return min(_JSON + text, _ZLIB + zlib.compress(text, 1), key=len)


def _unpack(blob: bytes) -> dict[str, Any]:
    if blob[:1] == _ZLIB:
        inflater = zlib.decompressobj()
        try:
            text = inflater.decompress(blob[1:], MAX_TEXT)
        except zlib.error as error:
            raise CannotOpen("the original is damaged") from error
        if not inflater.eof:
            raise CannotOpen("the original is damaged or too large")
    elif blob[:1] == _JSON:
        text = blob[1:]
    else:
        raise CannotOpen("the original has an unknown format")
    try:
        loaded = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CannotOpen("the original is damaged") from error
    if not isinstance(loaded, dict):
        raise CannotOpen("the original is damaged")
    return loaded


def _bound_to(engine: str, task_id: str) -> bytes:
    return f"{engine}\0{task_id}".encode("utf-8", "surrogatepass")


def close_original(
    data: dict[str, Any], engine: str, task_id: str, *, is_masked: bool, key: SealKey | None
) -> tuple[tuple[str | None, bytes] | None, str]:
    """(key id or None, blob) and the original's state: plain, sealed, too_large or no_key."""
    if sum(len(value) for value in data.values() if isinstance(value, str | bytes)) > MAX_TEXT:
        return None, "too_large"
    try:
        packed = _pack(data)
    except (TypeError, ValueError, RecursionError):
        return None, "none"  # not JSON: the adapter cannot give this message back
    if len(packed) > MAX_ORIGINAL:
        return None, "too_large"
    if not is_masked:
        return (None, packed), "plain"
    if key is None:
        return None, "no_key"
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # 10–29 ms and 7 MB: only where something is sealed

    nonce = os.urandom(12)
    sealed = AESGCM(key.secret).encrypt(nonce, packed, _bound_to(engine, task_id))
    return (key.key_id, _SEALED + nonce + sealed), "sealed"


def is_sealed(blob: bytes) -> bool:
    """Whether opening this blob proves that an agent with the application's key made it."""
    return blob[:1] == _SEALED


def open_original(blob: bytes, engine: str, task_id: str, *, key_id: str | None, keys: tuple[SealKey, ...]) -> dict[str, Any]:
    """The message again. Raises CannotOpen with a sentence for the operator."""
    if not is_sealed(blob):
        return _unpack(blob)
    key = next((key for key in keys if key.key_id == key_id), None)
    if key is None:
        raise CannotOpen(f"this agent has no seal key {key_id}; put the old key into Z4J_SEAL_KEYS")
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        packed = AESGCM(key.secret).decrypt(blob[1:13], blob[13:], _bound_to(engine, task_id))
    except (InvalidTag, ValueError) as error:
        raise CannotOpen("the original does not belong to this task, or is damaged") from error
    return _unpack(packed)


def is_plain(value: Any, depth: int = 0) -> bool:
    """Whether JSON gives this value back as it was: exactly these types, and only text for keys. The outermost tuple may be a list."""
    kind = type(value)
    if kind in (str, int, bool, type(None)):
        return True
    if kind is float:
        return bool(value - value == 0.0)  # neither infinite nor NaN
    if depth >= MAX_PLAIN_DEPTH:
        return False
    if kind is list or (kind is tuple and depth == 0):
        return all(is_plain(item, depth + 1) for item in value)
    return kind is dict and all(type(key) is str and is_plain(item, depth + 1) for key, item in value.items())
