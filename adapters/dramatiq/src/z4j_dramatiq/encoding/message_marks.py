# SPDX-License-Identifier: Apache-2.0
"""Marks of messages that are invisible to the application: blanks behind the JSON or the pickle.

A message has no field that an actor cannot read, and a worker without z4j cannot read a message with an unknown field. Blanks behind the
encoded bytes are ignored by every decoder. They mean that a process has reported the arguments (`is_reported`), and how often an actor
has sent its own message again: Dramatiq counts only the retries of its middleware. Messages of older versions of this package carry
options instead; those are removed when the message is read.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from dramatiq.encoder import JSONEncoder, PickleEncoder
from dramatiq.message import Message, get_encoder

OLD_REPORTED: Final = "z4j"
OLD_RETRY_OF: Final = "z4j_retry_of"
"""Options of messages that an older version sent."""
MOST: Final = 200
"""Maximum number of tabs; an actor that sends its message more often stays at that number."""
_ENCODERS: Final = (JSONEncoder, PickleEncoder)


@dataclass(frozen=True, slots=True)
class Mark:
    """`again` is how many times the actor has sent this message again."""

    is_reported: bool = False
    again: int = 0
    retry_of: str = ""

    def encoded(self) -> bytes:
        return b" " + b"\t" * min(self.again, MOST) + b" " if self.is_reported else b""


NONE: Final = Mark()
_marks: dict[int, tuple[weakref.ref[Any], Mark]] = {}
"""Marks of messages that were read in this process, by the object's identity: messages are compared by value and cannot be hashed."""
_next = threading.local()
_retry_of: contextvars.ContextVar[str] = contextvars.ContextVar("z4j_dramatiq_retry_of", default="")


@contextlib.contextmanager
def repeating(task_id: str) -> Iterator[None]:
    """Marks messages that are enqueued in this context as repeats of that task."""
    token = _retry_of.set(task_id)
    try:
        yield
    finally:
        _retry_of.reset(token)


def repeated() -> str:
    """Returns the task that is being repeated in this thread, "" for none."""
    return _retry_of.get()


# -- reading -----------------------------------------------------------------------------------------------------------
def of(message: Any) -> Mark:
    """Returns the mark of a message, or of Dramatiq's proxy for one."""
    read = getattr(message, "_message", message)
    entry = _marks.get(id(read))
    return entry[1] if entry is not None and entry[0]() is read else NONE


def read(message: Message[Any], data: Any) -> None:
    """Stores the mark behind the bytes of a message, and removes older versions' options from it."""
    old_reported, old_retry_of = message.options.pop(OLD_REPORTED, None), message.options.pop(OLD_RETRY_OF, None)
    again = _count(data)
    if again is not None or old_reported or old_retry_of:
        keep(message, Mark(again is not None or bool(old_reported), again or 0, old_retry_of if isinstance(old_retry_of, str) else ""))


def keep(message: Message[Any], mark: Mark) -> None:
    key = id(message)
    _marks[key] = weakref.ref(message, lambda _gone: _marks.pop(key, None)), mark


def _count(data: Any) -> int | None:
    """Number of tabs between the two blanks at the end; None without two blanks."""
    raw = data if isinstance(data, bytes) else str(data).encode("utf-8", "surrogatepass")
    if raw[-1:] != b" ":
        return None
    tabs = raw[:-1].rstrip(b"\t")
    return len(raw) - 1 - len(tabs) if tabs[-1:] == b" " else None


# -- writing -----------------------------------------------------------------------------------------------------------
def send_with(message: Any, mark: Mark) -> None:
    """Adds the mark to the next encoding of this message object in this thread."""
    _next.sending = (message, mark)


def sent() -> None:
    _next.sending = None


def encoded(message: Any, data: bytes) -> bytes:
    """Returns the bytes followed by the mark."""
    message_and_mark = getattr(_next, "sending", None)
    if message_and_mark is None or message_and_mark[0] is not message or type(get_encoder()) not in _ENCODERS:
        return data
    mark: Mark = message_and_mark[1]
    return data + mark.encoded() if isinstance(data, bytes) else data
