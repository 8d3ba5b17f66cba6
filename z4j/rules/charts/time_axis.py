# SPDX-License-Identifier: AGPL-3.0-or-later
"""Time axes: ticks at round local times of a zone, with labels. Pure; times are microseconds UTC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final

from z4j.rules.charts.scales import WIDTH
from z4j.rules.schedules.due_times import zone_of

SECOND: Final = 1_000_000
DAY: Final = 86_400
MOST: Final = 8
"""Labels on a wide chart; a narrow one shows those that are `is_major`, at most half as many."""
EDGE: Final = 50
"""A label this close to the right edge ends there, so that it is not cut. At the left there is room below the value axis."""
_SHORT_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800)
_HOUR_STEPS: Final = (1, 2, 3, 6, 12)
_DAY_STEPS: Final = (1, 2, 7, 14)
_MONTH_STEPS: Final = (1, 2, 3, 6, 12, 24, 60, 120, 600)
LAST_AT: Final = 253_370_764_800 * SECOND
"""The year 9999: later times are shown as this one."""


@dataclass(frozen=True, slots=True)
class Tick:
    """`x` from 0 to WIDTH; `anchor` is the SVG text-anchor of the label."""

    x: float
    label: str
    is_major: bool
    anchor: str


def position(at: int, since: int, until: int) -> float:
    """Returns the horizontal position of a time, with one decimal, kept within the axis."""
    if until <= since:
        return 0.0
    return round(WIDTH * min(max((at - since) / (until - since), 0), 1), 1)


def anchor_at(x: float) -> str:
    """Returns the text-anchor of a label at `x`."""
    return "end" if x > WIDTH - EDGE else "middle"


def ticks(since: int, until: int, zone: str) -> tuple[Tick, ...]:
    """Returns at most MOST ticks from `since` to `until`; none for an empty range. Every second one is major where there are many."""
    if until <= since:
        return ()
    local_zone = zone_of(zone)
    found = _times(min(since, LAST_AT), min(until, LAST_AT), local_zone)
    if not found:
        return (Tick(0.0, moment_text(since, zone), True, "middle"),)
    every = 1 if len(found) <= MOST // 2 else 2
    placed = []
    for number, (at, label) in enumerate(found):
        x = position(at, since, until)
        placed.append(Tick(x, label, number % every == 0, anchor_at(x)))
    return tuple(placed)


@lru_cache(8_000)
def moment_text(at: int, zone: str, *, with_day: bool = False) -> str:
    """14:05 in the zone, with seconds where there are any, and 27 Nov 14:05 with the day."""
    local = _local(min(at, LAST_AT), zone_of(zone))
    clock = f"{local:%H:%M:%S}" if local.second else f"{local:%H:%M}"
    return f"{local.day} {local:%b} {clock}" if with_day else clock


def _local(at: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(at // SECOND, UTC).astimezone(zone)


def _times(since: int, until: int, zone: tzinfo) -> list[tuple[int, str]]:
    seconds = (until - since) / SECOND
    for step in _SHORT_STEPS:
        if seconds / step <= MOST:
            return _short(since, until, step, zone)
    for hours in _HOUR_STEPS:
        if seconds / (hours * 3_600) <= MOST:
            return _within(since, until, _hours(_local(since, zone).date(), hours, zone))
    for days in _DAY_STEPS:
        if seconds / (days * DAY) <= MOST:
            return _within(since, until, _days(_local(since, zone).date(), days, zone))
    months = next((step for step in _MONTH_STEPS if seconds / (step * 30 * DAY) <= MOST - 1), _MONTH_STEPS[-1])
    return _within(since, until, _months(_local(since, zone).date(), months, zone))[:MOST]


def _short(since: int, until: int, step: int, zone: tzinfo) -> list[tuple[int, str]]:
    local = _local(since, zone)
    offset = round((local.utcoffset() or timedelta()).total_seconds())
    first = -(-(since // SECOND + offset) // step) * step - offset
    first += step if first * SECOND < since else 0
    found = []
    for at in range(first, until // SECOND + 1, step):
        time = _local(at * SECOND, zone)
        found.append((at * SECOND, _clock(time, step)))
    return found


def _clock(local: datetime, step: int) -> str:
    if local.hour == local.minute == local.second == 0:
        return _day(local)
    return f"{local:%H:%M:%S}" if step < 60 else f"{local:%H:%M}"


def _day(local: datetime) -> str:
    return f"{local.day} {local:%b}"


def _within(since: int, until: int, times: Iterator[tuple[int, str]]) -> list[tuple[int, str]]:
    found = []
    for at, label in times:
        if at > until:
            break
        if at >= since:
            found.append((at, label))
    return found


def _instant(local: datetime) -> int:
    return round(local.timestamp()) * SECOND


def _hours(day: date, step: int, zone: tzinfo) -> Iterator[tuple[int, str]]:
    """Local hours that exist: where the clocks skip one it has no tick, where one comes twice its first has."""
    while True:
        for hour in range(0, 24, step):
            local = datetime(day.year, day.month, day.day, hour, tzinfo=zone)
            if _local(_instant(local), zone).hour == hour:
                yield _instant(local), _clock(local, 3_600)
        day += timedelta(days=1)


def _days(day: date, step: int, zone: tzinfo) -> Iterator[tuple[int, str]]:
    """Local midnights; every seventh day is a Monday."""
    while True:
        if (day.toordinal() - 1) % step == 0:
            local = datetime(day.year, day.month, day.day, tzinfo=zone)
            yield _instant(local), _day(local)
        day += timedelta(days=1)


def _months(day: date, step: int, zone: tzinfo) -> Iterator[tuple[int, str]]:
    """First days of months; January is shown as its year."""
    month = day.year * 12 + day.month - 1
    while month < 9999 * 12:
        if month % step == 0:
            local = datetime(month // 12, month % 12 + 1, 1, tzinfo=zone)
            yield _instant(local), f"{local:%Y}" if local.month == 1 else f"{local:%b}"
        month += 1
