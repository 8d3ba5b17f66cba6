# SPDX-License-Identifier: Apache-2.0
"""Small readings of Huey's own data: names, attempts, times. No I/O.

A message carries the retries that are left and nothing else of its past, so the attempt is what the task's declaration allows less what
is left. Retries given for one call alone are more than that: then all its attempts are told as the first, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from z4j_agent import hooks, records

ENGINE = "huey"
_SKIPPED = frozenset({"huey", "z4j_huey", "peewee", "gevent"})
_COMMANDS = ("/huey_consumer", "/huey_consumer.py", "/bin/huey_consumer.py")


def name_of(task: Any) -> str:
    """The name in Huey's registry, `module.function`."""
    return f"{type(task).__module__}.{type(task).__name__}"


def attempt_of(task: Any) -> int:
    """From 0."""
    left = task.retries if isinstance(task.retries, int) else 0
    return max(0, int(getattr(type(task), "default_retries", 0) or 0) - left)


def to_us(moment: Any, *, is_utc: bool) -> int | None:
    """A datetime as microseconds UTC. Huey's are naive, in UTC or in local time as the Huey object says."""
    if not isinstance(moment, datetime):
        return None
    if moment.tzinfo is None and is_utc:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1_000_000)


def function_of(task_class: Any) -> Callable[..., Any] | None:
    """The function behind a task class: it lies in the closure of its `execute`, and nowhere else (huey/api.py, create_task)."""
    execute: Any = getattr(task_class, "execute", None)
    code = getattr(execute, "__code__", None)
    if code is None or "func" not in code.co_freevars:
        return None
    found = execute.__closure__[code.co_freevars.index("func")].cell_contents
    return found if callable(found) else None


def sent_meta(task: Any, *, is_utc: bool, parent_id: str = "", retry_of: str = "", is_eager: bool = False) -> str:
    """Where a task comes from, as the meta of a record."""
    chord = getattr(task, "chord_config", None)  # newer than Huey 2.5
    return records.meta(
        {
            "parent_id": parent_id if parent_id != task.id else None,
            "group_id": chord.cid if chord is not None else None,
            "retry_of": retry_of,
            "code": hooks.calling_code(_SKIPPED, depth=3, commands=_COMMANDS),
            "route": hooks.route(),
            "eager": is_eager,
            "expires": to_us(task.expires_resolved, is_utc=is_utc),
            "priority": task.priority if isinstance(task.priority, int) else None,
        }
    )
