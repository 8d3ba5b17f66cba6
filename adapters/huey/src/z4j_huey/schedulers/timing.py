# SPDX-License-Identifier: Apache-2.0
"""When a periodic task is due: the rule in its declaration, and its next time. Times are in microseconds UTC. Without I/O.

Huey calls a function of the application once a minute to check whether a task is due. A function of `crontab()` has five sets in its
closure, all of which must match: if day and weekday are given, both (huey/api.py, crontab). Any other function is opaque.
"""

from __future__ import annotations

import dis
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from z4j_agent.capture.guard import let_through
from z4j_agent.runtime.time_zones import HostZone
from z4j_agent.wire.cron import Cron

MINUTE = 60_000_000
FORESEEN_DAYS = 366
_HERE = HostZone()
_ORDER = ("months", "days", "weekdays", "hours", "minutes")
_HARMLESS = frozenset(
    {"year", "month", "day", "hour", "minute", "second", "weekday", "isoweekday", "toordinal", "timetuple", "isocalendar"}
)  # fmt: skip
_WRITING = frozenset({"STORE_DEREF", "STORE_GLOBAL", "STORE_ATTR", "STORE_SUBSCR", "DELETE_DEREF", "DELETE_ATTR", "DELETE_SUBSCR"})


def validator_of(task_class: Any) -> Callable[[datetime], Any] | None:
    """Returns the function that the application passed to `periodic_task`: it is in the closure of `validate_datetime` (huey/api.py,
    periodic_task)."""
    validator = _closure_of(getattr(task_class, "validate_datetime", None)).get("validate_datetime")
    return validator if callable(validator) else None


def cron_in(validator: Any) -> Cron | None:
    """Returns the expression of a function of `crontab()`, which counts weekdays from Sunday; None for any other function, or if nothing
    matches."""
    if getattr(validator, "__module__", "") != "huey.api" or getattr(validator, "__qualname__", "") != "crontab.<locals>.validate_date":
        return None
    lists = _closure_of(validator).get("cron_settings")
    if not isinstance(lists, list) or len(lists) != len(_ORDER):
        return None
    sets = dict(zip(_ORDER, (frozenset(numbers) for numbers in lists), strict=True))
    sets["weekdays"] = frozenset((number - 1) % 7 for number in sets["weekdays"] if number < 7)  # 7 is never compared with
    return Cron.of(**sets) if all(sets.values()) else None


def _closure_of(function: Any) -> dict[str, Any]:
    code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None)
    if code is None or not cells:
        return {}
    return {name: cell.cell_contents for name, cell in zip(code.co_freevars, cells, strict=True) if _is_full(cell)}


def _is_full(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 -- an empty cell raises ValueError
    except ValueError:
        return False
    return True


def is_foreseeable(validator: Any, depth: int = 3) -> bool:
    """Whether calling this function for future times has no side effects: it reads only the time and constants. One that counts its own
    calls, or reads a database, could return another result to Huey after z4j has called it."""
    if cron_in(validator) is not None:
        return True
    code = getattr(validator, "__code__", None)
    if (
        code is None
        or not depth
        or getattr(validator, "__defaults__", None)
        or not frozenset(code.co_names) <= _HARMLESS
        or any(hasattr(constant, "co_code") for constant in code.co_consts)
    ):
        return False
    if any(step.opname in _WRITING for step in dis.get_instructions(code)):
        return False
    closure = _closure_of(validator)
    return len(closure) == len(code.co_freevars) and all(_is_constant(value, depth - 1) for value in closure.values())


def _is_constant(value: Any, depth: int) -> bool:
    if isinstance(value, tuple | frozenset):
        return all(_is_constant(item, depth) for item in value)
    return isinstance(value, int | float | str | None) or is_foreseeable(value, depth)


# -- the next time -----------------------------------------------------------------------------------------------------
def next_match(expression: Cron, after: int, *, is_utc: bool) -> int | None:
    """Returns the first matching minute after `after`, None if there is none for forty years. In local time, a minute that the clocks skip
    does not occur, and a repeated one occurs twice, as in Huey."""
    return expression.next_after(after, UTC if is_utc else _HERE, day_or=False, by_clock=True)


def next_foreseen(validator: Callable[[datetime], Any], after: int, *, is_utc: bool) -> int | None:
    """Like `next_match`, by calling a foreseeable function for every minute of a year."""
    at = after // MINUTE * MINUTE
    for _ in range(FORESEEN_DAYS * 24 * 60):
        at += MINUTE
        try:
            if validator(_naive(at, is_utc=is_utc)):
                return at
        except Exception as error:
            let_through(error)
            return None  # it raises in Huey too, which then enqueues nothing
    return None


def _naive(at: int, *, is_utc: bool) -> datetime:
    moment = datetime.fromtimestamp(at / 1_000_000, UTC)
    return (moment if is_utc else moment.astimezone()).replace(tzinfo=None)
