# SPDX-License-Identifier: Apache-2.0
"""Cron as taskiq reads it, by pycron, and when that is next due. Times are microseconds UTC. No I/O.

Facts of pycron 3 (pycron/__init__.py, and found by running it): of day and weekday ONE is enough, unless one of the two fields holds a
star, be it `*/2`; then both must match. Names of months, `5/15`, ranges of weekdays that end on or run over Sunday and steps behind a
range of names match something else than they say, or nothing, without a word. So what an expression matches is found out by asking
pycron itself, and what is handed to it are stars, numbers and ranges of numbers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pycron

from z4j_agent import cron
from z4j_agent.cron import BadCron, Cron
from z4j_agent.zones import is_zone

SECOND = 1_000_000
MINUTE = 60 * SECOND
MOST_DAYS = 15_000
"""The 29th of February is a Monday every 28 years, and over 2100 only after 40."""
ALL_DAYS, ALL_WEEKDAYS = frozenset(range(1, 32)), frozenset(range(7))
_JANUARY = datetime(2024, 1, 1, tzinfo=UTC)
"""A month of 31 days that begins with a Monday."""
ONE_IS_ENOUGH = pycron.is_now("* * 1 * 2", _JANUARY)
"""An older pycron wants both of day and weekday in any case."""


@dataclass(frozen=True, slots=True)
class Sets:
    """What matches; weekdays count from Monday, 0. `is_either`: of day and weekday one is enough."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    is_either: bool

    def has_day(self, day: date) -> bool:
        is_day, is_weekday = day.day in self.days, day.weekday() in self.weekdays
        return day.month in self.months and ((is_day or is_weekday) if self.is_either else (is_day and is_weekday))


@dataclass(frozen=True, slots=True)
class Read:
    """An expression of the application's as z4j writes it; `expression` is None where none says the same."""

    sets: Sets | None
    expression: str | None


@functools.lru_cache(maxsize=4096)
def read_cron(text: str) -> Read:
    """What pycron makes of it. `sets` is None where it raises, which taskiq reports in its log and takes for never."""
    parts = text.split(" ")
    if len(parts) != 5:
        return Read(None, None)
    try:
        sets = Sets(
            _matching(60, lambda at: pycron.is_now(f"{parts[0]} * * * *", _JANUARY + timedelta(minutes=at))),
            _matching(24, lambda at: pycron.is_now(f"* {parts[1]} * * *", _JANUARY + timedelta(hours=at))),
            _matching(31, lambda at: pycron.is_now(f"* * {parts[2]} * *", _JANUARY + timedelta(days=at)), first=1),
            _matching(12, lambda at: pycron.is_now(f"* * * {parts[3]} *", _JANUARY.replace(month=at + 1)), first=1),
            _matching(7, lambda at: pycron.is_now(f"* * * * {parts[4]}", _JANUARY + timedelta(days=at))),
            is_either=ONE_IS_ENOUGH and "*" not in parts[2] and "*" not in parts[4],
        )
    except (ValueError, ArithmeticError):  # a step of nothing is divided by
        return Read(None, None)
    return Read(sets, _expression(text, sets))


def _matching(count: int, ask: Callable[[int], bool], first: int = 0) -> frozenset[int]:
    return frozenset(first + at for at in range(count) if ask(at))


def _expression(text: str, sets: Sets) -> str | None:
    days, weekdays = sets.days, sets.weekdays
    if sets.is_either and (days == ALL_DAYS or weekdays == ALL_WEEKDAYS):
        days, weekdays = ALL_DAYS, ALL_WEEKDAYS
    elif not sets.is_either and days != ALL_DAYS and weekdays != ALL_WEEKDAYS:
        return None  # elsewhere the same text means that one is enough
    if not (sets.minutes and sets.hours and days and sets.months and weekdays):
        return None
    try:
        typed = cron.parse(text)
    except BadCron:
        return cron.expression(sets.minutes, sets.hours, days, sets.months, weekdays)
    if (typed.minutes, typed.hours, typed.days, typed.months, typed.weekdays) == (sets.minutes, sets.hours, days, sets.months, weekdays):
        return typed.text
    return cron.expression(sets.minutes, sets.hours, days, sets.months, weekdays)


def to_pycron(found: Cron) -> str:
    """Five fields for pycron. Steps of days and months are written out: older releases count them from 0, and a star makes of "one of
    day and weekday" a "both"."""
    minute, hour = (
        typed if _is_simple(typed) else _list(numbers)
        for typed, numbers in ((found.fields[0], found.minutes), (found.fields[1], found.hours))
    )  # fmt: skip
    day = "*" if found.is_any_day else _list(found.days)
    month = "*" if len(found.months) == 12 else _list(found.months)
    weekday = "*" if found.is_any_weekday else _list(frozenset((number + 1) % 7 for number in found.weekdays))  # from Sunday, 0
    return f"{minute} {hour} {day} {month} {weekday}"


def sets_of(found: Cron) -> Sets:
    """With pycron's rule for day and weekday."""
    is_either = ONE_IS_ENOUGH and not found.is_any_day and not found.is_any_weekday
    return Sets(found.minutes, found.hours, found.days, found.months, found.weekdays, is_either)


def _is_simple(field: str) -> bool:
    """A star, a step over all, or a number: what pycron reads as everyone does."""
    return field == "*" or field.isdigit() or (field.startswith("*/") and field[2:].isdigit())


def _list(numbers: frozenset[int]) -> str:
    pieces: list[list[int]] = []
    for number in sorted(numbers):
        if pieces and number == pieces[-1][-1] + 1:
            pieces[-1].append(number)
        else:
            pieces.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in pieces)


# -- the next time -----------------------------------------------------------------------------------------------------
def next_cron(sets: Sets, after: int, zone: ZoneInfo | timedelta) -> int | None:
    """The first matching minute after `after`, None where there is none for forty years.

    taskiq asks every second whether the minute of the zone matches (cli/scheduler/run.py, is_cron_task_now): one that the clocks skip
    does not come, one that they repeat comes twice.
    """
    moment = datetime.fromtimestamp((after // MINUTE + 1) * MINUTE / SECOND, UTC)
    day = (moment + zone if isinstance(zone, timedelta) else moment.astimezone(zone)).date()
    if not (sets.minutes and sets.hours):
        return None
    for _ in range(MOST_DAYS):
        if sets.has_day(day):
            found = min((at for at in _instants(sets, day, zone) if at > after), default=None)
            if found is not None:
                return found
        day += timedelta(days=1)
    return None


def _instants(sets: Sets, day: date, zone: ZoneInfo | timedelta) -> Iterator[int]:
    for hour in sets.hours:
        for minute in sets.minutes:
            local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
            if isinstance(zone, timedelta):
                yield int((local - zone).timestamp()) * SECOND
                continue
            for fold in (0, 1):
                at = local.replace(tzinfo=zone, fold=fold).astimezone(UTC)
                if at.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
                    yield int(at.timestamp()) * SECOND


# -- zones -------------------------------------------------------------------------------------------------------------
def zone_of(offset: str | timedelta | None) -> tuple[ZoneInfo | timedelta | None, str | None]:
    """(what times are reckoned in, its IANA name) of a `cron_offset`; None where there is none such."""
    if not offset:
        return ZoneInfo("UTC"), "UTC"
    if isinstance(offset, timedelta):
        hours, rest = divmod(offset, timedelta(hours=1))
        return offset, None if rest or not -14 <= -hours <= 12 else f"Etc/GMT{-hours:+d}"
    return (ZoneInfo(offset), offset) if is_zone(offset) else (None, None)
