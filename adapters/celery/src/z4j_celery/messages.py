# SPDX-License-Identifier: Apache-2.0
"""Reads Celery's own data: times, queues, IDs. Pure."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from z4j_agent.capture import hooks
from z4j_agent.capture.hooks import now
from z4j_agent.wire import records
from z4j_agent.wire.redaction import redact_text

__all__ = [
    "ENGINE", "MARK", "OLD_MARKS", "RECEIVED_AT", "RETRY_OF", "calling_code", "due", "now", "queue_of", "read_steadily", "repeated",
    "repeats", "sent_meta", "take_old_marks", "to_us",
]  # fmt: skip

T = TypeVar("T")
ENGINE = "celery"
MARK = "z4j"
"""Header with which older versions marked a message whose arguments its producer had reported. Removed before the task reads it."""
RECEIVED_AT = "z4j_received"
"""Header that older versions added to a request, and to its retries. Removed before the task reads it."""
RETRY_OF = "z4j_retry_of"
"""Header with which older versions named the task that an operator sent again. Removed before the task reads it."""

OLD_MARKS = (MARK, RECEIVED_AT, RETRY_OF)


def take_old_marks(headers: dict[str, Any]) -> dict[str, Any]:
    """Removes and returns the marks of older versions. `headers` is the dictionary of a request, as celery/worker/request.py makes it: over
    AMQP it also holds the message's own headers, in `properties`."""
    sent = (headers.get("properties") or {}).get("application_headers")
    if sent and isinstance(sent, dict):
        for mark in OLD_MARKS:
            sent.pop(mark, None)
    if headers.keys().isdisjoint(OLD_MARKS):
        return {}
    return {mark: headers.pop(mark) for mark in OLD_MARKS if mark in headers}


DELAYED_BITS = 28
"""Levels of native delayed delivery: a routing key begins with that many bits (kombu, transport/native_delayed_delivery.py)."""
_SKIPPED = frozenset({"celery", "kombu", "z4j_celery", "billiard", "vine", "click"})
_COMMANDS = ("/celery", "/celery/__main__.py")


def to_us(moment: Any) -> int | None:
    """Returns an ISO text, datetime or seconds since 1970 as microseconds UTC; a naive datetime is UTC, as in Celery's headers."""
    if isinstance(moment, float):
        return int(moment * 1_000_000)
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            return None
    if not isinstance(moment, datetime):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1_000_000)


def due(when: Any, at: int) -> int | None:
    """`Retry.when`, a moment or a number of seconds from `at`, as microseconds UTC."""
    return at + int(when * 1_000_000) if isinstance(when, int | float) else to_us(when)


def queue_of(exchange: Any, routing_key: Any) -> str:
    """Returns the queue of a message. A delayed message carries its delay as bits in front of the real routing key."""
    key = str(routing_key or "")
    if key[1:2] == ".":
        parts = key.split(".")
        if len(parts) > DELAYED_BITS and all(bit in ("0", "1") for bit in parts[:DELAYED_BITS]):
            return ".".join(parts[DELAYED_BITS:])
    return key or str(getattr(exchange, "name", exchange) or "")


def calling_code() -> str:
    """`module:line` that enqueued; "" if a worker itself sends (the next task of a chain)."""
    return hooks.calling_code(_SKIPPED, depth=3, commands=_COMMANDS)


_repeating = threading.local()


@contextlib.contextmanager
def repeats(task_id: str) -> Iterator[None]:
    """Marks tasks that this thread sends in this context as repeats of that task. The message does not contain it, because its task would
    see that."""
    _repeating.task_id = task_id
    try:
        yield
    finally:
        _repeating.task_id = None


def repeated() -> str | None:
    """Returns the task that is being repeated, or None."""
    return getattr(_repeating, "task_id", None)


def _label(shadow: Any) -> str | None:
    """The name that `apply_async(shadow=…)` or the task's `shadow_name` gave this one task; Celery's own logs use it."""
    return redact_text(shadow)[:255] if isinstance(shadow, str) else None


def sent_meta(headers: Mapping[str, Any], task_id: str, priority: Any = None, retry_of: Any = None, /, **more: Any) -> str:
    """Returns the origin of a task, as the meta of an `enqueued` or `received` record. A retry has itself as parent and root."""
    get = headers.get
    if (parent_id := get("parent_id")) != task_id:
        more["parent_id"] = parent_id
    if (root_id := get("root_id")) != task_id:
        more["root_id"] = root_id
    if (expires := get("expires")) is not None:
        more["expires"] = to_us(expires)
    if isinstance(priority, int):
        more["priority"] = priority
    if (shadow := get("shadow")) is not None:
        more["label"] = _label(shadow)
    more["group_id"], more["retry_of"], more["route"] = get("group"), retry_of or get(RETRY_OF), hooks.route()
    return records.meta(more)


def read_steadily(read: Callable[[], T], otherwise: T) -> T:
    """Reads a set that the main thread changes meanwhile; tries again if it was changed."""
    for _ in range(5):
        try:
            return read()
        except RuntimeError:
            continue
    return otherwise
