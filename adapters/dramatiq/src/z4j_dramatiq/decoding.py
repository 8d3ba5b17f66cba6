# SPDX-License-Identifier: Apache-2.0
"""Messages that no worker can read.

Dramatiq has no hook for them: its consumers decode before they call any middleware, and then only log. So `Message.decode` is wrapped
while a worker runs; what it returns and raises stays the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from dramatiq.errors import DecodeError
from dramatiq.message import Message

_wrappers: list[Callable[[bytes, DecodeError], object]] = []
_original: Any = None


def watch(tell: Callable[[bytes, DecodeError], object]) -> None:
    """Has `tell` called with every message that could not be decoded, in the thread that tried. It must not raise."""
    global _original
    if tell in _wrappers:
        return
    _wrappers.append(tell)
    if _original is None:
        _original = Message.__dict__["decode"]
        Message.decode = classmethod(_decode)


def unwatch(tell: Callable[[bytes, DecodeError], object]) -> None:
    """Undoes `watch`; with the last one Dramatiq has its own method back."""
    global _original
    if tell in _wrappers:
        _wrappers.remove(tell)
    if not _wrappers and _original is not None:
        Message.decode, _original = _original, None


def _decode(cls: type[Message[Any]], data: bytes) -> Message[Any]:
    try:
        return _original.__func__(cls, data)
    except DecodeError as error:
        for tell in tuple(_wrappers):
            tell(data, error)
        raise


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
