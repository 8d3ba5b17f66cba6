# SPDX-License-Identifier: Apache-2.0
"""Encoding and decoding of messages: the marks behind the bytes (`message_marks`), and messages that no worker can read.

Dramatiq has no hook for either: its consumers decode before they call any middleware, and then only log. So `Message.encode` is wrapped
while a broker is monitored and `Message.decode` while a worker runs; their results and exceptions are unchanged.
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
from z4j_dramatiq.encoding import message_marks

_wrappers: list[Callable[[bytes, DecodeError], object]] = []
_brokers: set[int] = set()
_decoding = Patches()
_encoding = Patches()


def watch(report: Callable[[bytes, DecodeError], object]) -> None:
    """Registers `report`, which is called with every message that could not be decoded, in the thread that tried. It must not raise."""
    if report in _wrappers:
        return
    if not _wrappers:
        _decoding.around(Message, "decode", _decode)
    _wrappers.append(report)


def unwatch(report: Callable[[bytes, DecodeError], object]) -> None:
    """The reverse of `watch`; the last call restores Dramatiq's own method."""
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
    message_marks.read(message, data)


# -- encoding ------------------------------------------------------------------------------------------------------------
def begin_encoding(broker: object) -> None:
    """Makes messages be encoded with their marks, until `end_encoding` of the last broker."""
    if not _brokers:
        _encoding.around(Message, "encode", _encode)
    _brokers.add(id(broker))


def end_encoding(broker: object) -> None:
    """The reverse; the last call restores Dramatiq's own method."""
    _brokers.discard(id(broker))
    if not _brokers:
        _encoding.restore()


def _encode(original: Any, message: Message[Any]) -> bytes:
    data: bytes = original(message)
    return _with_mark(message, data) or data


@guard("encoding a message")
def _with_mark(message: Message[Any], data: bytes) -> bytes:
    return message_marks.encoded(message, data)


def identity_of(data: Any) -> tuple[str, str]:
    """(task ID, actor's name) if they can be read. Without an ID it is identified by its bytes: the same message, the same task."""
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
