# SPDX-License-Identifier: AGPL-3.0-or-later
"""Times at which alerts are delayed: weekly quiet hours in a time zone, and maintenance windows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from z4j.exceptions import BadInput
from z4j.rules.findings.finding import Scope

DAY_MIN: Final = 24 * 60
DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
LOOKS: Final = 20
"""Maximum adjacent windows that are joined: two weeks of nights and whole days."""


class Weekly(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hours of some days of the week (0 is Monday), as minutes after midnight in the time zone. If `end` is not after `begin`, they end on
    the next day."""

    days: tuple[int, ...]
    begin: int
    end: int
    zone: str = "UTC"


class Maintenance(NamedTuple):
    """No alert of a scope fires from `begins_at` until `ends_at` (microseconds UTC, excluded)."""

    scope: Scope
    begins_at: int
    ends_at: int


def check_weekly(weekly: Weekly) -> None:
    """Raises BadInput if the hours are not valid."""
    if not weekly.days or any(day not in range(7) for day in weekly.days):
        raise BadInput("Quiet hours need at least one day of the week. No changes were made.")
    if any(minute not in range(DAY_MIN) for minute in (weekly.begin, weekly.end)):
        raise BadInput("Quiet hours must begin and end at a time of day, such as 22:00. No changes were made.")
    try:
        _zone(weekly.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadInput(f"Unknown time zone “{weekly.zone[:40]}”. No changes were made.", "Use a name such as Europe/Berlin.") from error


def quiet_until(at: int, windows: Iterable[Weekly]) -> int | None:
    """Returns when the quiet hours active at a time end (microseconds UTC), joined with adjacent ones; None outside them."""
    known, found, until = tuple(windows), None, at
    for _ in range(LOOKS):
        ends = [end for window in known if (end := _end_of(until, window)) is not None]
        if not ends:
            break
        found = until = max(ends)
    return found


def maintained_until(at: int, scope: Scope, windows: Iterable[Maintenance]) -> int | None:
    """Returns when the maintenance of a scope active at a time ends; None outside one."""
    ends = [window.ends_at for window in windows if window.begins_at <= at < window.ends_at and window.scope.holds(scope)]
    return max(ends, default=None)


def _end_of(at: int, window: Weekly) -> int | None:
    zone = _zone(window.zone)
    here = datetime.fromtimestamp(at // 1_000_000, UTC).astimezone(zone).date()
    for day in (here - timedelta(days=1), here):
        if day.weekday() not in window.days:
            continue
        begin = _moment(day, window.begin, zone)
        end = _moment(day if window.end > window.begin else day + timedelta(days=1), window.end, zone)
        if begin <= at < end:
            return end
    return None


def _moment(day: date, minute: int, zone: ZoneInfo) -> int:
    """A time of day in a zone, in microseconds UTC. A time skipped by a clock change is interpreted with the UTC offset before the
    change."""
    local = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=zone)
    return int(local.timestamp()) * 1_000_000


@lru_cache(64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
