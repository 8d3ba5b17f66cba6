# SPDX-License-Identifier: AGPL-3.0-or-later
"""Formats numbers, times and texts for people. Pure functions, registered as template filters."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

THIN: Final = "\u202f"
"""Narrow no-break space, between a number and its unit."""
NONE: Final = "–"
MINUTE: Final = 60_000_000
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LAST_YEAR: Final = 253_402_300_799_000_000


def number(value: float | None) -> str:
    """12,418; a rate below ten keeps one decimal: 0.4."""
    if value is None:
        return NONE
    if isinstance(value, float) and value < 10 and value != int(value):
        return f"{value:.1f}"
    return f"{round(value):,}"


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


def absolute(at: int | None) -> str:
    """2026-11-23 05:15:01.204 UTC."""
    if at is None:
        return NONE
    time = moment(at)
    return f"{time:%Y-%m-%d %H:%M:%S}.{time.microsecond // 1000:03} UTC"


def iso(at: int) -> str:
    """For `datetime` attributes and exports: 2026-11-23T05:15:01.204512Z."""
    return f"{moment(at):%Y-%m-%dT%H:%M:%S.%fZ}"


def relative(at: int | None, now: int) -> str:
    """Within a day how long ago (or until), beyond it the date: 12 s ago, in 4 m, 14 Nov 09:12."""
    if at is None:
        return NONE
    away = now - at
    if abs(away) >= DAY:
        time = moment(at)
        return f"{time:%d %b %H:%M}" if time.year == moment(now).year else f"{time:%d %b %Y}"
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


_SPAN: Final = re.compile(r"(\d{1,6})\s*([smhdw])")
_UNITS: Final = {"s": 1_000_000, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}


def when(text: str, now: int) -> int:
    """Parses the time of a filter: 15m, 24h, 7d (ago), 2026-11-23, 2026-11-23T05:15Z. Raises ValueError."""
    text = text.strip()
    if match := _SPAN.fullmatch(text):
        return max(now - int(match[1]) * _UNITS[match[2]], 0)
    given = datetime.fromisoformat(text)
    if given.tzinfo is None:
        given = given.replace(tzinfo=UTC)
    span = given - _EPOCH
    return max((span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds, 0)


FILTERS: Final[dict[str, Any]] = {
    "number": number,
    "duration": duration,
    "absolute": absolute,
    "iso": iso,
    "relative": relative,
    "short": short,
    "middle": middle,
    "size": size,
    "plural": plural,
}
