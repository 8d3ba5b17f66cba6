# SPDX-License-Identifier: AGPL-3.0-or-later
"""When a schedule is due: its next times in its zone, in one sentence, and what a change of the clocks does to it. Pure.

Times are microseconds UTC. A cron expression is read as `z4j_agent.wire.cron` writes it, by the rule of the scheduler that holds it. On the
day the clocks change, a local time that does not exist is due as much later as the clocks skip, and one that comes twice is due the first
time; an expression that matches every hour is due in both. That is what z4j's own scheduler does; others have their own ways then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from z4j_agent.wire import cron
from z4j_agent.wire.cron import Cron

SECOND: Final = 1_000_000
AROUND: Final = timedelta(hours=3)
"""No zone has moved its clocks by more."""
HORIZON: Final = timedelta(days=400)
HOUR_S: Final = 3_600
LAST_AT: Final = 4_102_444_800 * SECOND
"""2100. Nobody waits longer, and calendars end."""


class BadSchedule(ValueError):
    """It cannot be held as it is. `nearest` is an expression that could be, or ""."""

    def __init__(self, message: str, nearest: str = "") -> None:
        super().__init__(message)
        self.nearest = nearest


@dataclass(frozen=True, slots=True)
class Timing:
    """When something is due. `anchor` is the time intervals count from."""

    kind: str
    expression: str
    zone: str = "UTC"
    day_or: bool = True
    anchor: int = 0
    starts_at: int | None = None
    ends_at: int | None = None

    def after(self, at: int) -> int | None:
        """Returns the first due time after `at` (microseconds UTC), or None."""
        if self.starts_at is not None:
            at = max(at, self.starts_at - 1)
        due = self._after(at)
        return None if due is None or due > LAST_AT or (self.ends_at is not None and due > self.ends_at) else due

    def upcoming(self, at: int, count: int) -> list[int]:
        """Returns the next `count` due times after `at`, fewer if the schedule ends before."""
        due_times: list[int] = []
        while len(due_times) < count and (due := self.after(due_times[-1] if due_times else at)) is not None:
            due_times.append(due)
        return due_times

    def between(self, after: int, until: int) -> Iterator[int]:
        """Yields every due time after `after`, up to and including `until`."""
        due = self.after(after)
        if due is not None and self.kind == "interval":
            yield from range(due, min(until, LAST_AT, until if self.ends_at is None else self.ends_at) + 1, self._interval)
            return
        while due is not None and due <= until:
            yield due
            due = self.after(due)

    def period_us(self, at: int) -> int | None:
        """Returns the time between two due times around `at`, in microseconds; None for a one-off."""
        two = self.upcoming(at, 2)
        return two[1] - two[0] if len(two) == 2 else None

    @property
    def is_hourly(self) -> bool:
        """Whether it has due times in every hour of its days."""
        if self.kind == "interval":
            return float(self.expression) <= HOUR_S
        return self.kind == "cron" and cron.parse(self.expression).is_every_hour

    @property
    def _interval(self) -> int:
        return int(float(self.expression) * SECOND)

    def _after(self, at: int) -> int | None:
        if self.kind == "interval":
            every = self._interval
            return self.anchor + ((at - self.anchor) // every + 1) * every if at >= self.anchor else self.anchor
        if self.kind == "once":
            due = at_of(self.expression)
            return due if due > at else None
        if self.kind == "cron":
            return _cron_after(self.expression, zone_of(self.zone), self.day_or, at)
        return None


@lru_cache(maxsize=8_000)
def _cron_after(expression: str, zone: tzinfo, day_or: bool, at: int) -> int | None:
    now = datetime.fromtimestamp(at / SECOND, UTC).replace(microsecond=0)
    is_hourly = cron.parse(expression).is_every_hour
    try:
        steps = _steps(expression, day_or, local_of(now, zone))
        first = next(steps)
        due = _utc(first, zone)
        if not (_is_near_change(now, zone) or _is_near_change(due, zone)):
            return _micro(due)
        # Near a change of the clocks the order of local times is not that of instants: all within reach are compared.
        candidates: set[datetime] = set()
        for local in _steps(expression, day_or, local_of(now, zone) - AROUND):
            candidates.update(instant for instant in _instants(local, zone, is_hourly) if _micro(instant) > at)
            if candidates and _utc(local, zone) > min(candidates) + AROUND:
                break
        return _micro(min(candidates)) if candidates else None
    except (StopIteration, OverflowError):  # nothing within fifty years
        return None


def _steps(expression: str, day_or: bool, start: datetime) -> Iterator[datetime]:
    """Matching local times after `start`, without a zone, until none is within fifty years."""
    from croniter import CroniterError, croniter  # 1.4 MB and 60 ms, which a server without such schedules does not need

    try:
        made = croniter(_plain(expression), start, day_or=day_or, second_at_beginning=True)
        while True:
            yield made.get_next(datetime)
    except CroniterError:
        return


@lru_cache(maxsize=10_000)
def _plain(expression: str) -> str:
    """The same in sets written out: croniter 7 takes `0-0` for every minute."""
    rule = cron.parse(expression)
    return cron.expression(rule.minutes, rule.hours, rule.days, rule.months, rule.weekdays, rule.seconds)


def local_of(at: datetime, zone: tzinfo) -> datetime:
    """Returns the local time in a zone, without the zone."""
    return at.astimezone(zone).replace(tzinfo=None)


def _utc(local: datetime, zone: tzinfo) -> datetime:
    return local.replace(tzinfo=zone).astimezone(UTC)


def _instants(local: datetime, zone: tzinfo, is_hourly: bool) -> list[datetime]:
    """When a local time is: later where it does not exist, and both times where it comes twice and every hour matches."""
    first, second = _utc(local, zone), _utc(local.replace(fold=1), zone)
    return [first, second] if is_hourly and second > first else [first]


def _is_near_change(at: datetime, zone: tzinfo) -> bool:
    return len({(at + step).astimezone(zone).utcoffset() for step in (-AROUND, timedelta(), AROUND)}) > 1


def _micro(at: datetime) -> int:
    return int(at.timestamp()) * SECOND


def at_of(text: str) -> int:
    """Parses an ISO time with offset. Returns microseconds UTC. Raises BadSchedule."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadSchedule(f"“{text[:60]}” is not a valid time: use a format like 2026-11-23T05:30:00+00:00.")
    return int(moment.timestamp() * SECOND)


@cache
def zones() -> tuple[str, ...]:
    """Returns the names of all time zones that can be chosen."""
    odd = ("Etc/", "SystemV/")
    return tuple(sorted(name for name in available_timezones() if "/" in name and not name.startswith(odd)))


@lru_cache(maxsize=600)
def zone_of(name: str) -> tzinfo:
    """Raises BadSchedule for an unknown name."""
    if name in ("", "UTC"):
        return UTC
    if match := re.fullmatch(r"UTC([+-])(\d\d):(\d\d)", name):  # of schedulers whose zone has no name
        return timezone((1 if match[1] == "+" else -1) * timedelta(hours=int(match[2]), minutes=int(match[3])))
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise BadSchedule(f"Unknown time zone “{name[:60]}”.") from None


@lru_cache(maxsize=2_000)
def sentence(kind: str, expression: str, *, day_or: bool = True) -> str:
    """Describes an expression as a sentence; returns the expression itself if that is not possible."""
    if kind == "interval":
        return f"Every {_span(float(expression))}"
    if kind == "once":
        return f"Once, at {datetime.fromisoformat(expression).strftime('%Y-%m-%d %H:%M:%S %z')}"
    if kind != "cron":
        return expression
    import cron_descriptor  # 1 MB, on the pages of schedules only

    options = cron_descriptor.Options()
    options.use_24hour_time_format = True
    try:
        description = str(cron_descriptor.get_description(expression, options))
    except Exception:  # it raises its own types and plain ones; the expression says the same, less kindly
        return expression
    return description if day_or else description.replace(", or on ", ", only if it is ")


def _span(seconds: float) -> str:
    for size, word in ((604_800, "week"), (86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds % size == 0:
            count = int(seconds // size)
            return word if count == 1 else f"{count} {word}s"
    return "second" if seconds == 1 else f"{seconds:g} seconds"


@dataclass(frozen=True, slots=True)
class ClockChange:
    """A change of the clocks that a schedule meets: local times that do not exist (`is_gap`) or come twice."""

    at: int
    is_gap: bool
    local: str
    """The first local time of the schedule it concerns, like "2027-03-28 02:30"."""
    count: int
    """How many local times of the schedule."""


def clock_changes(timing: Timing, at: int) -> list[ClockChange]:
    """Returns the clock changes within the next 400 days that affect a cron expression."""
    if timing.kind != "cron":
        return []
    zone, changes = zone_of(timing.zone), []
    expression: Cron = cron.parse(timing.expression)
    for change in _changes(zone, datetime.fromtimestamp(at // SECOND, UTC)):
        before, after = ((change + step).astimezone(zone).utcoffset() for step in (timedelta(seconds=-1), timedelta()))
        assert before is not None
        assert after is not None
        first, last = sorted((change.replace(tzinfo=None) + before, change.replace(tzinfo=None) + after))
        met: list[datetime] = []
        for local in _steps(timing.expression, timing.day_or, first - timedelta(seconds=1)):
            if local >= last or len(met) >= 60:
                break
            met.append(local)
        if met and not (after > before and expression.is_every_hour):
            changes.append(ClockChange(_micro(change), after > before, met[0].isoformat(" ", "minutes"), len(met)))
    return changes


def _changes(zone: tzinfo, start: datetime) -> Iterator[datetime]:
    """The instants at which the zone's offset changes."""
    day = timedelta(days=1)
    low, end = start, start + HORIZON
    while low < end:
        high = low + day
        if low.astimezone(zone).utcoffset() != high.astimezone(zone).utcoffset():
            left, right = low, high
            while right - left > timedelta(seconds=1):
                middle = left + (right - left) // 2
                if middle.astimezone(zone).utcoffset() == left.astimezone(zone).utcoffset():
                    left = middle
                else:
                    right = middle
            yield right.replace(microsecond=0)
        low = high
