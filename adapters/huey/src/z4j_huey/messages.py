# SPDX-License-Identifier: Apache-2.0
"""Reads Huey's own data: names, attempts, times. Without I/O.

A message contains the remaining retries and nothing else about its past, so the attempt is the number that the task declares minus the
remaining ones. That fails if retries are given for a single call, or if a task requests another try that does not count. Then the
attempt is written behind the pickle, which neither `pickle.loads` nor a task reads; a message in another form does not contain it.

In the same way a message without such an attempt is marked if its producer reports the arguments, so that the worker need not repeat them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from huey.serializer import Serializer

from z4j_agent.capture import hooks
from z4j_agent.wire import records

ENGINE = "huey"
MOST = 1 << 16
ATTEMPT = "z4j_attempt"
"""Attribute of a task between its message and its execution."""
TRAILER = b"\nz4j"
REPORTED = "z4j_reported"
"""Attribute of a task whose message is marked: its producer reports the arguments. Removed before the task runs."""
REPORTED_TRAILER = b"\nz4jr"
OLD_MOST = 1000
OLD_PAST = timedelta(minutes=59)
_REPORTED_END, _ATTEMPT_END = b"." + REPORTED_TRAILER, b"." + TRAILER
_SKIPPED = frozenset({"huey", "z4j_huey", "peewee", "gevent", "multiprocessing"})
_COMMANDS = ("/huey_consumer", "/huey_consumer.py", "/bin/huey_consumer.py")


def name_of(task: Any) -> str:
    """Returns the name in Huey's registry, `module.function`."""
    return f"{type(task).__module__}.{type(task).__name__}"


def attempt_of(task: Any) -> int:
    """From 0."""
    stored = task.__dict__.get(ATTEMPT)
    if isinstance(stored, int):
        return stored
    if is_old_mark(task.eta):  # by an older agent, see `hide_old_mark`
        return int(task.eta.microsecond % OLD_MOST)
    return _by_retries(task)


def _by_retries(task: Any) -> int:
    left = task.retries if isinstance(task.retries, int) else 0
    return max(0, int(getattr(type(task), "default_retries", 0) or 0) - left)


def set_attempt(task: Any, attempt: int) -> None:
    """Makes the next message of the task contain this attempt. `uncarry` is called after that."""
    vars(task).pop(ATTEMPT, None)
    if attempt_of(task) != attempt and 0 <= attempt < MOST:
        vars(task)[ATTEMPT] = attempt


def uncarry(task: Any) -> None:
    """Restores the task as the application created it."""
    attributes = task.__dict__
    attributes.pop(ATTEMPT, None)
    attributes.pop(REPORTED, None)


def mark_reported(task: Any) -> None:
    """Makes the next message of the task say that its producer reports the arguments. `uncarry` is called after that."""
    vars(task)[REPORTED] = True


def is_reported(task: Any) -> bool:
    return REPORTED in vars(task)


def has_room(huey: Any) -> bool:
    """Whether data can be added behind the messages of this Huey object: they are Huey's own pickles, neither compressed nor signed."""
    return type(huey.serializer) is Serializer and not getattr(huey.serializer, "comp", False)


def with_trailer(data: bytes, task: Any) -> bytes:
    """Returns a message, followed by its attempt if that is added, or else by the mark that its producer reports the arguments."""
    attempt: int | None = vars(task).get(ATTEMPT)
    if attempt is not None:
        return data + TRAILER + attempt.to_bytes(2, "big")
    return data + REPORTED_TRAILER if REPORTED in vars(task) else data


def read_trailer(data: bytes, task: Any, *, is_taken: bool) -> None:
    """Copies the attempt from a message to its task; the mark only if the message was taken: no other reader needs it."""
    end = bytes(data[-len(TRAILER) - 3 :])  # a pickle ends with a full stop
    if end[1:] == _REPORTED_END:
        if is_taken:
            vars(task)[REPORTED] = True
    elif end[:-2] == _ATTEMPT_END:
        vars(task)[ATTEMPT] = int.from_bytes(data[-2:], "big")


def is_old_mark(eta: Any) -> bool:
    """Whether an older agent has written an attempt into this eta."""
    return eta is not None and bool(eta.fold)


def hide_old_mark(task: Any, at: datetime) -> None:
    """Reads and removes the mark that an older agent has written into the eta: the attempt below a millisecond, with `fold` as the mark;
    for a task without an eta, in one an hour before it was sent. `at` is now on the same clock. The task must not see it."""
    eta = task.eta
    if is_old_mark(eta):
        eta = eta.replace(microsecond=eta.microsecond // OLD_MOST * OLD_MOST, fold=0)
        task.eta = None if at - eta > OLD_PAST else eta


def to_us(moment: Any, *, is_utc: bool) -> int | None:
    """Returns a datetime as microseconds UTC. Huey's are naive, in UTC or local time according to the Huey object."""
    if not isinstance(moment, datetime):
        return None
    if moment.tzinfo is None and is_utc:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1_000_000)


def function_of(task_class: Any) -> Callable[..., Any] | None:
    """Returns the function of a task class: it is only in the closure of its `execute` (huey/api.py, create_task)."""
    execute: Any = getattr(task_class, "execute", None)
    code = getattr(execute, "__code__", None)
    if code is None or "func" not in code.co_freevars:
        return None
    function = execute.__closure__[code.co_freevars.index("func")].cell_contents
    return function if callable(function) else None


def sent_meta(task: Any, *, is_utc: bool, parent_id: str = "", retry_of: str = "", is_eager: bool = False) -> str:
    """Returns the origin of a task, as the meta of a record."""
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
