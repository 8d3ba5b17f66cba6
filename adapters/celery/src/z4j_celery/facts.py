# SPDX-License-Identifier: Apache-2.0
"""Small readings of Celery's own data: times, queues, ids. Pure."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from z4j_agent import records

DELAYED_BITS = 28
"""Levels of native delayed delivery: a routing key begins with that many bits (kombu, transport/native_delayed_delivery.py)."""
_SKIPPED = ("celery", "kombu", "z4j_celery", "z4j_agent", "billiard", "vine")


def to_us(moment: Any) -> int | None:
    """An ISO text or datetime as microseconds UTC; a naive one is UTC, as Celery means it in headers."""
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


def queue_of(exchange: Any, routing_key: Any) -> str:
    """The queue a message goes to. A delayed message carries its delay as bits in front of the real routing key."""
    key = str(routing_key or "")
    parts = key.split(".")
    if len(parts) > DELAYED_BITS and all(bit in ("0", "1") for bit in parts[:DELAYED_BITS]):
        return ".".join(parts[DELAYED_BITS:])
    return key or str(getattr(exchange, "name", exchange) or "")


def calling_code() -> str:
    """`module:line` of the first frame that is neither Celery's nor ours."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in _SKIPPED:
            return f"{module}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def sent_meta(headers: Mapping[str, Any], task_id: str, priority: Any = None, **more: Any) -> str:
    """Where a task comes from, as the meta of an `enqueued` or `received` record."""
    root_id, parent_id = headers.get("root_id"), headers.get("parent_id")
    return records.meta(
        {
            "parent_id": parent_id if parent_id != task_id else None,  # a retry is published by the task itself
            "root_id": root_id if root_id != task_id else None,
            "group_id": headers.get("group"),
            "retry_of": headers.get("z4j_retry_of"),
            "expires": to_us(headers.get("expires")),
            "priority": priority if isinstance(priority, int) else None,
            **more,
        }
    )
