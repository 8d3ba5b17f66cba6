# SPDX-License-Identifier: Apache-2.0
"""Reads arq's own data: IDs, times, names, callers. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from arq.worker import Function

from z4j_agent.capture import hooks
from z4j_agent.capture.hooks import now

__all__ = [
    "ENGINE",
    "MARK",
    "attempt_of",
    "calling_code",
    "due",
    "execution_ms_of",
    "functions_in",
    "job_id_of",
    "ms_of",
    "now",
    "parameter_names",
    "setting",
    "task_id_of",
]  # fmt: skip

ENGINE = "arq"
MARK = "z4j"
"""Key in the message of a job whose producer has reported its arguments and original. arq ignores unknown keys."""

_SKIPPED = frozenset({"arq", "z4j_arq", "click"})
_COMMANDS = ("/arq", "/arq/__main__.py")
_ONCE_ONLY = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|.*:\d{13}", re.I | re.S)
"""IDs that are never used again: a UUID (arq's default), and a cron run's, which ends with the millisecond of its due time."""
_EXECUTION = re.compile(r"(.*)@(\d{13})", re.S)


def task_id_of(job_id: str, enqueued_ms: int) -> str:
    """Returns the task's ID: the job's ID; if the application chose one that may be used again, followed by the time of the enqueueing.

    An ID may be used again as soon as its job and result are gone (arq, connections.py:enqueue_job), which in arq is the way to have a
    job only once at a time. Each of them is a task of its own: under one ID, a first success would hide every later failure.
    """
    return job_id if _ONCE_ONLY.fullmatch(job_id) or not enqueued_ms else f"{job_id}@{enqueued_ms}"


def job_id_of(task_id: str) -> str:
    """Returns the job's ID in arq."""
    match = None if _ONCE_ONLY.fullmatch(task_id) else _EXECUTION.fullmatch(task_id)
    return match[1] if match else task_id


def execution_ms_of(task_id: str) -> int:
    """When the job of this task was enqueued, in milliseconds UTC; 0 if its ID does not contain that."""
    match = None if _ONCE_ONLY.fullmatch(task_id) else _EXECUTION.fullmatch(task_id)
    return int(match[2]) if match else 0


def attempt_of(job_try: Any) -> int:
    """Returns the attempt, from 0. arq counts tries from 1, and a producer may choose a later first try."""
    return max(int(job_try or 1), 1) - 1


def ms_of(duration: Any) -> int:
    """Seconds or a timedelta as milliseconds; None is 0."""
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else float(duration or 0)
    return round(seconds * 1000)


def due(at: int, defer_until: Any, defer_by: Any) -> int | None:
    """When a job may run, in microseconds UTC; None for at once. A naive datetime is local time, as in arq."""
    if isinstance(defer_until, datetime):
        return int(defer_until.timestamp() * 1_000_000)
    return at + ms_of(defer_by) * 1000 if defer_by else None


def setting(settings: Any, name: str) -> Any:
    """Returns a setting of the class or dict that arq's command takes; None if it is missing."""
    return settings.get(name) if isinstance(settings, Mapping) else getattr(settings, name, None)


def functions_in(settings: Any) -> dict[str, Callable[..., Any]]:
    """Name → coroutine function of the `functions` in a WorkerSettings. Import paths are left out: only the worker imports them."""
    entries: Iterable[Any] = setting(settings, "functions") or ()
    functions: dict[str, Callable[..., Any]] = {}
    for entry in entries:
        if isinstance(entry, Function):
            functions[entry.name] = entry.coroutine
        elif callable(entry):
            functions[getattr(entry, "__qualname__", "")] = entry
    return functions


def parameter_names(coroutine: Callable[..., Any]) -> tuple[str, ...]:
    """Returns the names of the positional parameters after `ctx`."""
    return hooks.parameter_names(coroutine)[1:]


def calling_code() -> str:
    """`module:line` that enqueued; "" when arq itself did (cron)."""
    return hooks.calling_code(_SKIPPED, depth=3, commands=_COMMANDS)
