# SPDX-License-Identifier: Apache-2.0
"""The way of a message into bytes and back: what travels behind the bytes (`marks`), and messages that no worker can read.

Dramatiq has no hook for either: its consumers decode before they call any middleware, and then only log. So `Message.encode` is wrapped
while a broker is watched and `Message.decode` while a worker runs; what they return and raise stays the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from dramatiq.errors import DecodeError
from dramatiq.message import Message

from z4j_agent.capture.guard import guard
from z4j_agent.runtime.patching import Patches
from z4j_dramatiq import marks

_wrappers: list[Callable[[bytes, DecodeError], object]] = []
_brokers: set[int] = set()
_decoding = Patches()
_encoding = Patches()


def watch(report: Callable[[bytes, DecodeError], object]) -> None:
    """Has `report` called with every message that could not be decoded, in the thread that tried. It must not raise."""
    if report in _wrappers:
        return
    if not _wrappers:
        _decoding.around(Message, "decode", _decode)
    _wrappers.append(report)


def unwatch(report: Callable[[bytes, DecodeError], object]) -> None:
    """Undoes `watch`; with the last one Dramatiq has its own method back."""
    if report in _wrappers:
        _wrappers.remove(report)
    if not _wrappers:
        _decoding.restore()


def _decode(original: Any, cls: type[Message[Any]], data: bytes) -> Message[Any]:
    try:
        message: Message[Any] = original(cls, data)
    except DecodeError as error:
        for report in tuple(_wrappers):
            report(data, error)
        raise
    _read(message, data)
    return message


@guard("reading a message")
def _read(message: Message[Any], data: Any) -> None:
    marks.read(message, data)


# -- encoding ------------------------------------------------------------------------------------------------------------
def begin_encoding(broker: object) -> None:
    """Has messages encoded with their marks from now on. Undone by `end_encoding` of the last broker."""
    if not _brokers:
        _encoding.around(Message, "encode", _encode)
    _brokers.add(id(broker))


def end_encoding(broker: object) -> None:
    """With the last broker Dramatiq has its own method back."""
    _brokers.discard(id(broker))
    if not _brokers:
        _encoding.restore()


def _encode(original: Any, message: Message[Any]) -> bytes:
    data: bytes = original(message)
    return _with_mark(message, data) or data


@guard("encoding a message")
def _with_mark(message: Message[Any], data: bytes) -> bytes:
    return marks.encoded(message, data)


def identity_of(data: Any) -> tuple[str, str]:
    """(task id, actor's name) as far as they can be read. Without an id it is named by its bytes: the same message, the same task."""
    raw = data if isinstance(data, bytes) else str(data).encode("utf-8", "surrogatepass")
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError):
        content = None
    fields = content if isinstance(content, dict) else {}
    task_id, name = fields.get("message_id"), fields.get("actor_name")
    if not isinstance(task_id, str) or not task_id:
        task_id = f"malformed-{hashlib.sha256(raw).hexdigest()[:24]}"
    return task_id, name if isinstance(name, str) else ""
