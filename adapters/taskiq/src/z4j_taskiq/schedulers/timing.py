# SPDX-License-Identifier: Apache-2.0
"""Cron as taskiq reads it, with pycron, and its due times. Times are in microseconds UTC. Without I/O.

Facts of pycron 3 (pycron/__init__.py, and found by running it): ONE match of day and weekday suffices, unless one of the two fields
contains a star, also as `*/2`; then both must match. Names of months, `5/15`, ranges of weekdays that end on or run over Sunday and
steps behind a range of names match other values than written, or nothing, without an error. So the matches of an expression are computed
with pycron itself, and expressions for it contain only stars, numbers and ranges of numbers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pycron

from z4j_agent.runtime.time_zones import is_zone
from z4j_agent.wire import cron
from z4j_agent.wire.cron import BadCron, Cron

SECOND = 1_000_000
ALL_DAYS, ALL_WEEKDAYS = frozenset(range(1, 32)), frozenset(range(7))
_JANUARY = datetime(2024, 1, 1, tzinfo=UTC)
"""A month of 31 days that begins with a Monday."""
ONE_IS_ENOUGH = pycron.is_now("* * 1 * 2", _JANUARY)
"""Older versions of pycron always require both day and weekday."""


@dataclass(frozen=True, slots=True)
class Read:
    """An expression of the application. `cron` is None if pycron raises, which taskiq logs and treats as never."""

    cron: Cron | None
    day_or: bool = False
    """Whether one match of day and weekday suffices. If one of them is every day, both rules are equivalent."""
    expression: str | None = None
    """The expression in z4j's form; None if there is no equivalent one."""

    def next_after(self, at: int, zone: tzinfo) -> int | None:
        """Returns the next due time. taskiq checks every second whether the minute of the zone matches (cli/scheduler/run.py,
        is_cron_task_now): a minute that the clocks skip does not occur, a repeated one occurs twice."""
        return None if self.cron is None else self.cron.next_after(at, zone, day_or=self.day_or, by_clock=True)


@functools.lru_cache(maxsize=4096)
def read_cron(text: str) -> Read:
    """Reads an expression with pycron."""
    parts = text.split(" ")
    if len(parts) != 5:
        return Read(None)
    try:
        minutes = _matching(60, lambda at: pycron.is_now(f"{parts[0]} * * * *", _JANUARY + timedelta(minutes=at)))
        hours = _matching(24, lambda at: pycron.is_now(f"* {parts[1]} * * *", _JANUARY + timedelta(hours=at)))
        days = _matching(31, lambda at: pycron.is_now(f"* * {parts[2]} * *", _JANUARY + timedelta(days=at)), first=1)
        months = _matching(12, lambda at: pycron.is_now(f"* * * {parts[3]} *", _JANUARY.replace(month=at + 1)), first=1)
        weekdays = _matching(7, lambda at: pycron.is_now(f"* * * * {parts[4]}", _JANUARY + timedelta(days=at)))
    except (ValueError, ArithmeticError):  # division by a step of zero
        return Read(None)
    day_or = ONE_IS_ENOUGH and "*" not in parts[2] and "*" not in parts[4]
    if day_or and (days == ALL_DAYS or weekdays == ALL_WEEKDAYS):
        days, weekdays = ALL_DAYS, ALL_WEEKDAYS
    parsed = Cron.of(minutes, hours, days, months, weekdays)
    return Read(parsed, day_or, _expression(text, parsed, day_or=day_or))


def _matching(count: int, ask: Callable[[int], bool], first: int = 0) -> frozenset[int]:
    return frozenset(first + at for at in range(count) if ask(at))


def _expression(text: str, parsed: Cron, *, day_or: bool) -> str | None:
    if not day_or and not parsed.is_any_day and not parsed.is_any_weekday:
        return None  # in z4j the same text means that one match suffices
    if not all(parsed.sets):
        return None
    try:
        typed = cron.parse(text)
    except BadCron:
        return parsed.text
    return typed.text if typed.sets == parsed.sets else parsed.text


def to_pycron(expression: Cron) -> str:
    """Five fields for pycron. Steps of days and months are written out: older releases count them from 0, and a star turns "one of day
    and weekday" into "both"."""
    minute, hour = (
        typed if _is_simple(typed) else _list(numbers)
        for typed, numbers in ((expression.fields[0], expression.minutes), (expression.fields[1], expression.hours))
    )  # fmt: skip
    day = "*" if expression.is_any_day else _list(expression.days)
    month = "*" if len(expression.months) == 12 else _list(expression.months)
    weekday = "*" if expression.is_any_weekday else _list(frozenset((number + 1) % 7 for number in expression.weekdays))  # from Sunday, 0
    return f"{minute} {hour} {day} {month} {weekday}"


def _is_simple(field: str) -> bool:
    """Whether it is a star, a step over all, or a number, which pycron reads in the usual way."""
    return field == "*" or field.isdigit() or (field.startswith("*/") and field[2:].isdigit())


def _list(numbers: frozenset[int]) -> str:
    pieces: list[list[int]] = []
    for number in sorted(numbers):
        if pieces and number == pieces[-1][-1] + 1:
            pieces[-1].append(number)
        else:
            pieces.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in pieces)


# -- zones -------------------------------------------------------------------------------------------------------------
def zone_of(offset: str | timedelta | None) -> tuple[tzinfo | None, str | None]:
    """(time zone, its IANA name) of a `cron_offset`; None if it does not exist."""
    if not offset:
        return ZoneInfo("UTC"), "UTC"
    if isinstance(offset, timedelta):
        hours, rest = divmod(offset, timedelta(hours=1))
        return timezone(offset), None if rest or not -14 <= -hours <= 12 else f"Etc/GMT{-hours:+d}"
    return (ZoneInfo(offset), offset) if is_zone(offset) else (None, None)
