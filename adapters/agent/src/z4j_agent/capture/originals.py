# SPDX-License-Identifier: Apache-2.0
"""The engine's own message, stored so that it can be sent again, and authenticated so that only this application can make it.

A blob begins with a format byte. Format 3, the only one written today, is::

    3 · algorithm · key id (4 bytes) · algorithm 1: nonce (12) + AES-256-GCM · algorithm 2: HMAC-SHA-256 (16 bytes) + packed message

Both keys are derived from the application's seal key, which the server never has. The packed message (format 0 JSON, 1 zlib of JSON)
holds the engine's message together with the name, the queue and the broker of its task; engine, task id and environment are bound as
associated data. The server, which presents a blob, cannot change what runs, where it runs, or its task. Format 2 was sealed before
names and queues were bound and is accepted only where both are known to the application. An unsealed blob of an older agent (formats 0
and 1) proves nothing and is refused.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
import os
import zlib
from dataclasses import dataclass
from typing import Any, NamedTuple

from z4j_agent.contract.adapter import Refused
from z4j_agent.settings import SealKey
from z4j_agent.wire.codec import make_encoder

MAX_ORIGINAL = 64 * 1024
"""Bytes of a blob; a larger message is `too_large`, and the engine's own store is read instead."""
MAX_TEXT = 1024 * 1024
"""Characters of a message that is worth compressing at all: what is larger would cost the host time and not fit anyway."""
_JSON, _ZLIB, _SEALED, _AUTHENTICATED = b"\x00", b"\x01", b"\x02", b"\x03"
_GCM, _HMAC = b"\x01", b"\x02"
_HEADER = 6
_MAC = 16
_SMALL = 512
"""Characters of a message that are not compressed: zlib sets 270 KB of memory up for each message, to save about 100 bytes of these."""
MAX_PLAIN_DEPTH = 32
_FLAT = frozenset({str, int, bool, type(None)})
"""Types of which JSON preserves every value."""
_encode = make_encoder((",", ":"))


class CannotOpen(Refused):
    """The original does not belong to its task, or this process has no key for it. `check` names the check that refused it."""


class Binding(NamedTuple):
    """The task of an original: everything that decides what runs, and where."""

    engine: str
    task_id: str
    environment: str
    name: str
    queue: str
    broker: str = ""
    """The identity of its broker (`broker.identify`), "" if it is unknown."""
    server: str = ""
    """The fingerprint of that broker as its author read it, see `Adapter.brokers`."""

    def associated_data(self) -> bytes:
        """The associated data: opening needs the same values. Lengths separate the parts."""
        own, task_id, environment = self.engine, self.task_id, self.environment
        if own.isascii() and task_id.isascii() and environment.isascii():  # as many bytes as characters: an eighth of the time
            return f"{len(own)}:{own}{len(task_id)}:{task_id}{len(environment)}:{environment}".encode("ascii")
        return self._associated_bytes()

    def _associated_bytes(self) -> bytes:
        engine, task_id, environment = _utf8(self.engine), _utf8(self.task_id), _utf8(self.environment)
        return b"%d:%b%d:%b%d:%b" % (len(engine), engine, len(task_id), task_id, len(environment), environment)


@dataclass(frozen=True, slots=True)
class Opened:
    """A message of this application. `binding` is None for one sealed before names were bound."""

    data: dict[str, Any]
    binding: Binding | None


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@functools.lru_cache(maxsize=32)
def _derived(secret: bytes, purpose: bytes) -> bytes:
    """Derives a key for one purpose."""
    return hmac.digest(secret, b"z4j " + purpose, "sha256")


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
            raise CannotOpen("the original is damaged", check="original.format") from error
        if not inflater.eof:
            raise CannotOpen("the original is damaged or too large", check="original.format")
    elif blob[:1] == _JSON:
        text = blob[1:]
    else:
        raise CannotOpen("the original has an unknown format", check="original.format")
    try:
        loaded = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CannotOpen("the original is damaged", check="original.format") from error
    if not isinstance(loaded, dict):
        raise CannotOpen("the original is damaged", check="original.format")
    return loaded


def close_original(data: dict[str, Any], binding: Binding, *, is_masked: bool, key: SealKey | None) -> tuple[tuple[str, bytes] | None, str]:
    """Returns (key id, blob), or None, and the original's state: plain (readable, authenticated), sealed, too_large, no_key or none (no
    JSON form). `is_masked` seals it, because the displayed arguments do not show all of it."""
    if key is None:
        return None, "no_key"
    size = 0
    for value in data.values():
        if isinstance(value, (str, bytes)):
            size += len(value)
    if size > MAX_TEXT:
        return None, "too_large"
    bound = {"name": binding.name, "queue": binding.queue, "message": data}
    if binding.broker:
        bound["broker"] = binding.broker
    if binding.server:
        bound["server"] = binding.server
    try:
        packed = _pack(bound)
    except (TypeError, ValueError, RecursionError):
        return None, "none"  # not JSON: the adapter cannot give this message back
    if len(packed) > MAX_ORIGINAL:
        return None, "too_large"
    header = _header(key.key_id, _GCM if is_masked else _HMAC)
    context = header + binding.associated_data()
    if not is_masked:
        return (key.key_id, header + _mac(key, context, packed) + packed), "plain"
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # 10–29 ms and 7 MB: only where something is sealed

    nonce = os.urandom(12)
    return (key.key_id, header + nonce + AESGCM(_derived(key.secret, b"original seal")).encrypt(nonce, packed, context)), "sealed"


@functools.lru_cache(maxsize=32)
def _header(key_id: str, algorithm: bytes) -> bytes:
    return _AUTHENTICATED + algorithm + bytes.fromhex(key_id)


def _mac(key: SealKey, context: bytes, packed: bytes) -> bytes:
    """HMAC-SHA-256 of both, from copies of hashes that have read the key: between other work of the application `hmac.digest` costs 10 to
    20 µs more."""
    inner, outer = _keyed(key.secret)
    inner, outer = inner.copy(), outer.copy()
    inner.update(b"%d:%b%b" % (len(context), context, packed))
    outer.update(inner.digest())
    return outer.digest()[:_MAC]


@functools.lru_cache(maxsize=32)
def _keyed(secret: bytes) -> tuple[hashlib._Hash, hashlib._Hash]:
    """The inner and the outer hash of HMAC (RFC 2104), begun with the key."""
    block = _derived(secret, b"original mac").ljust(64, b"\0")
    return hashlib.sha256(bytes(byte ^ 0x36 for byte in block)), hashlib.sha256(bytes(byte ^ 0x5C for byte in block))


def open_original(blob: bytes, engine: str, task_id: str, environment: str, *, key_id: str | None, keys: tuple[SealKey, ...]) -> Opened:
    """Opens a blob and checks that it was made for this engine, task and environment. `key_id` is used for blobs of format 2 only, which do
    not contain it; `keys` are the present key and older ones. Raises CannotOpen with a sentence for the operator and the check that refused
    it."""
    kind = blob[:1]
    if kind == _AUTHENTICATED:
        return _open_authenticated(blob, Binding(engine, task_id, environment, "", ""), keys)
    if kind == _SEALED:
        return Opened(_open_sealed(blob, engine, task_id, _key(keys, key_id or "")), None)
    if kind in (_JSON, _ZLIB):
        raise CannotOpen(
            "its original was stored by an older agent without proof of its author, so it cannot be sent again; no changes were made",
            check="original.proof",
        )
    raise CannotOpen("the original has an unknown format", check="original.format")


def _key(keys: tuple[SealKey, ...], key_id: str) -> SealKey:
    key = next((key for key in keys if key.key_id == key_id), None)
    if key is None:
        raise CannotOpen(f"this agent has no seal key {key_id[:16]}; put the old key into Z4J_SEAL_KEYS", check="original.key")
    return key


def _open_authenticated(blob: bytes, expected: Binding, keys: tuple[SealKey, ...]) -> Opened:
    header, rest = blob[:_HEADER], blob[_HEADER:]
    key = _key(keys, header[2:].hex())
    context = header + expected.associated_data()
    if header[1:2] == _HMAC:
        packed = rest[_MAC:]
        if not hmac.compare_digest(_mac(key, context, packed), rest[:_MAC]):
            raise CannotOpen(_ALTERED, check="original.altered")
    elif header[1:2] == _GCM:
        packed = _decrypt(_derived(key.secret, b"original seal"), rest, context)
    else:
        raise CannotOpen("the original has an unknown format", check="original.format")
    bound = _unpack(packed)
    data, parts = bound.get("message"), [bound.get(part, "") for part in ("name", "queue", "broker", "server")]
    if not (isinstance(data, dict) and all(isinstance(part, str) for part in parts)):
        raise CannotOpen("the original is damaged", check="original.format")
    return Opened(data, Binding(expected.engine, expected.task_id, expected.environment, *parts))


_ALTERED = "the original does not belong to this task and environment, or was altered"


def _open_sealed(blob: bytes, engine: str, task_id: str, key: SealKey) -> dict[str, Any]:
    """Format 2: sealed with the seal key itself, bound to engine and task id alone."""
    return _unpack(_decrypt(key.secret, blob[1:], f"{engine}\0{task_id}".encode("utf-8", "surrogatepass")))


def _decrypt(key: bytes, sealed: bytes, context: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(sealed[:12], sealed[12:], context)
    except (InvalidTag, ValueError) as error:
        raise CannotOpen(_ALTERED, check="original.altered") from error


# -- data of ours on the disk ------------------------------------------------------------------------------------------------
def seal_data(key: SealKey, purpose: bytes, data: bytes) -> bytes:
    """Encrypts data with a key that is derived for `purpose` only. Returns a nonce of 12 bytes and the AES-256-GCM ciphertext."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(12)
    return nonce + AESGCM(_derived(key.secret, purpose)).encrypt(nonce, data, purpose)


def open_data(keys: tuple[SealKey, ...], key_id: str, purpose: bytes, sealed: bytes) -> bytes:
    """Reverses `seal_data`, with the key of that ID. Raises CannotOpen if the key is missing, or the data was altered or sealed for another
    purpose."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(_derived(_key(keys, key_id).secret, purpose)).decrypt(sealed[:12], sealed[12:], purpose)
    except (InvalidTag, ValueError) as error:
        raise CannotOpen("the file was altered, or sealed with another key", check="original.altered") from error


# -- names -----------------------------------------------------------------------------------------------------------------
def prove_name(key: SealKey, engine: str, name: str) -> str:
    """Returns a proof ("key id.HMAC" in hexadecimal digits) that an agent of this application has a task of that name. Only agents with the
    key can make and check it, so the server may store it and present it to a process that has not seen the name yet."""
    return f"{key.key_id}.{_name_mac(key, engine, name)}"


def is_name_proved(proof: Any, engine: str, name: str, keys: tuple[SealKey, ...]) -> bool:
    """Whether `proof` is one that `prove_name` made for this engine and name with one of the keys. `proof` comes from the server and may be
    of any type. Never raises."""
    if not isinstance(proof, str):
        return False
    key_id, _, mac = proof.partition(".")
    return any(key.key_id == key_id and hmac.compare_digest(_name_mac(key, engine, name).encode(), _utf8(mac)) for key in keys)


def _name_mac(key: SealKey, engine: str, name: str) -> str:
    message = b"".join(b"%d:%b" % (len(part), part) for part in map(_utf8, (engine, name)))
    return hmac.digest(_derived(key.secret, b"name proof"), message, "sha256")[:_MAC].hex()


def is_plain(value: Any, depth: int = 0) -> bool:
    """Whether JSON preserves this value: exactly these types, and only text as keys. The outermost tuple may be a list."""
    kind = type(value)
    if kind in _FLAT:
        return True
    if kind is float:
        return bool(value - value == 0.0)  # neither infinite nor NaN
    if depth >= MAX_PLAIN_DEPTH:
        return False
    if kind is list or (kind is tuple and depth == 0):
        return _FLAT.issuperset(map(type, value)) or all(is_plain(item, depth + 1) for item in value)
    if kind is not dict:
        return False
    return not value or all(type(key) is str and is_plain(item, depth + 1) for key, item in value.items())
