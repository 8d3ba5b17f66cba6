# SPDX-License-Identifier: Apache-2.0
"""The way of a message into bytes and back: what travels behind the bytes (`marks`), and messages that no worker can read.

Dramatiq has no hook for either: its consumers decode before they call any middleware, and then only log. So `Message.encode` is wrapped
while a broker is watched and `Message.decode` while a worker runs; what they return and raise stays the same.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable
from typing import Any

from dramatiq.errors import DecodeError
from dramatiq.message import Message

from z4j_agent.guard import guard
from z4j_dramatiq import marks

_wrappers: list[Callable[[bytes, DecodeError], object]] = []
_brokers: set[int] = set()


class _Patch:
    """A wrapper over a method of `Message`, and what was there before. Where another library has put its own over ours, ours stays
    underneath and only passes on; the next one is created again."""

    def __init__(self, name: str, make: Callable[[Any, _Patch], Any]) -> None:
        self.is_live = True
        self._name, self._before = name, Message.__dict__[name]
        self._ours = make(self._before, self)
        setattr(Message, name, self._ours)

    def undo(self) -> None:
        self.is_live = False
        if Message.__dict__[self._name] is self._ours:
            setattr(Message, self._name, self._before)


_decoding: _Patch | None = None
_encoding: _Patch | None = None


def watch(tell: Callable[[bytes, DecodeError], object]) -> None:
    """Has `tell` called with every message that could not be decoded, in the thread that tried. It must not raise."""
    global _decoding
    if tell in _wrappers:
        return
    _wrappers.append(tell)
    if _decoding is None:
        _decoding = _Patch("decode", _decoder)


def unwatch(tell: Callable[[bytes, DecodeError], object]) -> None:
    """Undoes `watch`; with the last one Dramatiq has its own method back."""
    global _decoding
    if tell in _wrappers:
        _wrappers.remove(tell)
    if not _wrappers and _decoding is not None:
        _decoding.undo()
        _decoding = None


def _decoder(before: Any, patch: _Patch) -> Any:
    def decode(cls: type[Message[Any]], data: bytes) -> Message[Any]:
        try:
            message: Message[Any] = before.__func__(cls, data)
        except DecodeError as error:
            for tell in tuple(_wrappers) if patch.is_live else ():
                tell(data, error)
            raise
        if patch.is_live:
            _read(message, data)
        return message

    return classmethod(functools.wraps(before.__func__)(decode))


@guard("reading a message")
def _read(message: Message[Any], data: Any) -> None:
    marks.read(message, data)


# -- encoding ------------------------------------------------------------------------------------------------------------
def begin_encoding(broker: object) -> None:
    """Has messages encoded with their marks from now on. Undone by `end_encoding` of the last broker."""
    global _encoding
    _brokers.add(id(broker))
    if _encoding is None:
        _encoding = _Patch("encode", _encoder)


def end_encoding(broker: object) -> None:
    """With the last broker Dramatiq has its own method back."""
    global _encoding
    _brokers.discard(id(broker))
    if not _brokers and _encoding is not None:
        _encoding.undo()
        _encoding = None


def _encoder(before: Any, patch: _Patch) -> Any:
    @functools.wraps(before)
    def encode(message: Message[Any]) -> bytes:
        data: bytes = before(message)
        return (_with_mark(message, data) or data) if patch.is_live else data

    return encode


@guard("encoding a message")
def _with_mark(message: Message[Any], data: bytes) -> bytes:
    return marks.encoded(message, data)


def identity_of(data: Any) -> tuple[str, str]:
    """(task id, actor's name) as far as they can be read. Without an id it is named by its bytes: the same message, the same task."""
    raw = data if isinstance(data, bytes) else str(data).encode("utf-8", "surrogatepass")
    try:
        said = json.loads(raw)
    except (ValueError, RecursionError):
        said = None
    fields = said if isinstance(said, dict) else {}
    task_id, name = fields.get("message_id"), fields.get("actor_name")
    if not isinstance(task_id, str) or not task_id:
        task_id = f"malformed-{hashlib.sha256(raw).hexdigest()[:24]}"
    return task_id, name if isinstance(name, str) else ""
