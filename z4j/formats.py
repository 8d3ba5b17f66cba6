# SPDX-License-Identifier: AGPL-3.0-or-later
"""Formats numbers, times and texts for display. Pure functions; those in FILTERS are template filters (times: web/frame/times.py)."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Any, Final

THIN: Final = "\u202f"
"""Narrow no-break space, between a number and its unit."""
NONE: Final = "–"
MINUTE: Final = 60_000_000
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
LAST_YEAR: Final = 253_402_214_400_000_000
"""The last day of the calendar, which exists in every zone."""


def number(value: float | None) -> str:
    """12,418; a rate below ten keeps one decimal: 0.4."""
    if value is None:
        return NONE
    if isinstance(value, float) and value < 10 and value != int(value):
        return f"{value:.1f}"
    return f"{round(value):,}"


def percent(share: float) -> str:
    """Returns a share from 0 to 1 as 12%; below ten percent with one decimal: 0.4%."""
    return f"{share * 100:.1f}%" if 0 < share < 0.1 else f"{share * 100:.0f}%"


def duration(us: int | None) -> str:
    """Microseconds as at most two units: 12 ms, 4.8 s, 1 m 02 s, 3 h 05 m, 2 d 4 h."""
    if us is None:
        return NONE
    us = max(us, 0)
    if us < 1_000:
        return f"0{THIN}ms" if us < 50 else f"{us / 1_000:.1f}{THIN}ms"
    if us < 100_000:
        return f"{us // 1_000}{THIN}ms"
    if us < 9_950_000:
        return f"{us / 1_000_000:.1f}{THIN}s"
    seconds = us // 1_000_000
    if seconds < 60:
        return f"{seconds}{THIN}s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes}{THIN}m{THIN}{seconds:02}{THIN}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}{THIN}h{THIN}{minutes:02}{THIN}m"
    return f"{hours // 24}{THIN}d{THIN}{hours % 24}{THIN}h"


def moment(at: int) -> datetime:
    """Microseconds UTC as a datetime; a time outside the calendar becomes its nearest end."""
    at = min(max(at, 0), LAST_YEAR)
    return datetime.fromtimestamp(at // 1_000_000, UTC).replace(microsecond=at % 1_000_000)


def absolute(at: int | None, zone: tzinfo = UTC) -> str:
    """2026-11-23 05:15:01.204 UTC, in another zone with its offset: 2026-11-23 11:00:01.204 +0545."""
    if at is None:
        return NONE
    time = moment(at).astimezone(zone)
    return f"{time:%Y-%m-%d %H:%M:%S}.{time.microsecond // 1000:03} {'UTC' if zone is UTC else f'{time:%z}'}"


def iso(at: int) -> str:
    """For `datetime` attributes and exports: 2026-11-23T05:15:01.204512Z."""
    return f"{moment(at):%Y-%m-%dT%H:%M:%S.%fZ}"


def hour(at: int) -> str:
    """Returns the hour of a table: 14:00."""
    return f"{moment(at):%H:%M}"


def relative(at: int | None, now: int, zone: tzinfo = UTC) -> str:
    """Within a day how long ago (or until), beyond it the date in the zone: 12 s ago, in 4 m, 14 Nov 09:12."""
    if at is None:
        return NONE
    away = now - at
    if abs(away) >= DAY:
        time = moment(at).astimezone(zone)
        return f"{time:%d %b %H:%M}" if time.year == moment(now).astimezone(zone).year else f"{time:%d %b %Y}"
    if abs(away) < 1_000_000:
        return "now"
    span = short(abs(away))
    return f"{span} ago" if away > 0 else f"in {span}"


def short(us: int) -> str:
    """One unit, rounded down: 12 s, 4 m, 3 h, 2 d."""
    for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "m")):
        if us >= size:
            return f"{us // size}{THIN}{unit}"
    return f"{us // 1_000_000}{THIN}s"


def middle(text: str, limit: int = 48) -> str:
    """Shortens a long name in its middle, because both ends of a dotted path are informative."""
    if len(text) <= limit:
        return text
    tail = (limit - 1) * 3 // 5
    return f"{text[: limit - 1 - tail]}…{text[-tail:]}"


def size(count: int) -> str:
    """Bytes: 812 B, 14 KB, 3.2 MB, 1.5 GB."""
    if count < 1_000:
        return f"{count}{THIN}B"
    if count < 1_000_000:
        return f"{count // 1_000}{THIN}KB"
    if count < 1_000_000_000:
        return f"{count / 1_000_000:.1f}{THIN}MB"
    return f"{count / 1_000_000_000:.1f}{THIN}GB"


def plural(count: int, one: str, many: str = "") -> str:
    """1 task, 12,418 tasks."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


FILTERS: Final[dict[str, Any]] = {
    "number": number,
    "duration": duration,
    "iso": iso,
    "hour": hour,
    "short": short,
    "middle": middle,
    "size": size,
    "plural": plural,
}
