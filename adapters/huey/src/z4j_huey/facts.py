# SPDX-License-Identifier: Apache-2.0
"""Small readings of Huey's own data: names, attempts, times. No I/O.

A message carries the retries that are left and nothing else of its past, so the attempt is what the task's declaration allows less what
is left. That fails where retries are given for one call alone, or where a task asks for another try that costs none. Then the attempt
rides in the message's eta (see `with_attempt`): it has no other place that a consumer without z4j would not stumble over.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from z4j_agent import hooks, records

ENGINE = "huey"
MOST = 1000
"""Attempts from this one on are not told apart where the eta must carry them."""
_SKIPPED = frozenset({"huey", "z4j_huey", "peewee", "gevent", "multiprocessing"})
_COMMANDS = ("/huey_consumer", "/huey_consumer.py", "/bin/huey_consumer.py")


def name_of(task: Any) -> str:
    """The name in Huey's registry, `module.function`."""
    return f"{type(task).__module__}.{type(task).__name__}"


def attempt_of(task: Any) -> int:
    """From 0."""
    if task.eta is not None and task.eta.fold:
        return int(task.eta.microsecond % MOST)
    left = task.retries if isinstance(task.retries, int) else 0
    return max(0, int(getattr(type(task), "default_retries", 0) or 0) - left)


def with_attempt(task: Any, attempt: int, fallback: datetime) -> datetime | None:
    """The eta of a task's next attempt, such that `attempt_of` finds the attempt in it; unchanged where it can be told without.

    `fold` is the mark: it means nothing in UTC, and neither Huey nor a storage looks at it. The attempt replaces the microseconds below a
    millisecond. `fallback` is for a task without an eta, and has passed.
    """
    eta: datetime | None = task.eta
    if attempt_of(task) == attempt or attempt >= MOST:
        return eta
    base = eta if eta is not None else fallback
    return base.replace(microsecond=base.microsecond // MOST * MOST + attempt, fold=1)


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
    expires = task.resolve_expires(is_utc) if task.expires else None  # Huey does the same next
    chord = getattr(task, "chord_config", None)  # newer than Huey 2.5
    return records.meta(
        {
            "parent_id": parent_id if parent_id != task.id else None,
            "group_id": chord.cid if chord is not None else None,
            "retry_of": retry_of,
            "code": hooks.calling_code(_SKIPPED, depth=3, commands=_COMMANDS),
            "route": hooks.route(),
            "eager": is_eager,
            "expires": to_us(expires, is_utc=is_utc),
            "priority": task.priority if isinstance(task.priority, int) else None,
        }
    )
