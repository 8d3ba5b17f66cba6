# SPDX-License-Identifier: AGPL-3.0-or-later
"""Times as they are written for the reader and read from filters, in the reader's time zone: the one the person chose, else that of the
browser, which sends it in a cookie, else UTC.

The middleware sets it for each request, so that no page has to pass it on. Exports and the API are not affected: they are in UTC.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from starlette.requests import HTTPConnection

from z4j import clock, formats
from z4j.formats import DAY, HOUR, MINUTE, NONE
from z4j.rules.schedules.due_times import BadSchedule, zone_of

COOKIE: Final = "z4j_zone"
EXPORTS: Final = (".json", ".csv", ".html", ".md")
"""Ends of paths whose answers are kept as files, and passed on to readers elsewhere."""
_READER: ContextVar[str] = ContextVar("reader zone", default="UTC")


_SPAN: Final = re.compile(r"(\d{1,6})\s*([smhdw])")
_UNITS: Final = {"s": 1_000_000, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TwoTimes:
    """One instant, microseconds UTC, as two texts with their offsets."""

    at: int
    there: str
    here: str


def browser_zone(request: HTTPConnection) -> str:
    """Returns the time zone that the browser sent, checked like any input; UTC where it sent none."""
    name = request.cookies.get(COOKIE, "").replace("%2F", "/")
    return name if name and is_zone(name) else "UTC"


def is_zone(name: str) -> bool:
    """Whether there is such a time zone."""
    try:
        zone_of(name)
    except BadSchedule:
        return False
    return True


def zone_for(request: HTTPConnection) -> str:
    """Returns the time zone in which a request is answered; programs and exports are answered in UTC."""
    identity, path = request.scope["identity"], request.scope["path"]
    if identity.kind == "token" or path.endswith(EXPORTS) or path.startswith("/api/"):
        return "UTC"
    return identity.time_zone if identity.time_zone and is_zone(identity.time_zone) else browser_zone(request)


@contextmanager
def reading_in(zone: str) -> Iterator[None]:
    """Times are formatted in this zone within the block."""
    token = _READER.set(zone)
    try:
        yield
    finally:
        _READER.reset(token)


def reader_zone() -> str:
    """Returns the name of the reader's time zone."""
    return _READER.get()


def _zone() -> tzinfo:
    return zone_of(_READER.get())


def with_offset(text: str, zone: tzinfo) -> str:
    """Adds the offset of a zone to the time of a filter that is a local time: 2026-11-23T05:15 becomes 2026-11-23T05:15+05:45. Every other
    text is returned as it is, and all are in UTC."""
    try:
        given = datetime.fromisoformat(text.strip())
    except ValueError:
        return text
    if given.tzinfo is not None or zone is UTC:
        return text
    return given.replace(tzinfo=zone).isoformat(timespec="seconds" if given.second else "minutes")


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


def absolute(at: int | None) -> str:
    """2026-11-23 11:00:01.204 +0545, in the reader's zone."""
    return formats.absolute(at, _zone())


def relative(at: int | None, now: int) -> str:
    """12 s ago, in 4 m, 14 Nov 14:57: a date is in the reader's zone."""
    return formats.relative(at, now, _zone())


def in_full(at: int) -> str:
    """For titles: the time in the reader's zone and in UTC, once where they are the same."""
    zone = _zone()
    return formats.absolute(at) if zone is UTC else f"{formats.absolute(at, zone)} · {formats.absolute(at)}"


def weekday(at: int, now: int) -> str:
    """Friday 18:02 within a week, with the date before that; in the reader's zone."""
    local = formats.moment(at).astimezone(_zone())
    if abs(now - at) < 6 * DAY:
        return f"{local:%A %H:%M}"
    return f"{local:%a} {local.day} {local:%b} {local:%H:%M}"


def until_text(at: int | None, now: int) -> str:
    """Returns the relative time and, where it is not UTC, the absolute one in UTC: the title of an absolute time."""
    if at is None:
        return NONE
    away = formats.relative(at, now, _zone())
    return away if _zone() is UTC else f"{away} · {formats.absolute(at)}"


def two_times(at: int, zone: str, reader: str) -> TwoTimes:
    """Returns a time in the zones of the schedule and of the reader."""
    return TwoTimes(at, local_text(at, zone), local_text(at, reader))


def local_text(at: int, zone: str) -> str:
    """Fri 27 Nov 02:30 +0100; with seconds where there are any, and with the year where it is another."""
    local = datetime.fromtimestamp(at / 1_000_000, UTC).astimezone(zone_of(zone))
    year = "" if local.year == datetime.fromtimestamp(clock.now() / 1_000_000, UTC).year else f" {local.year}"
    return f"{local:%a} {local.day} {local:%b}{year} {local.strftime('%H:%M:%S' if local.second else '%H:%M')} {local:%z}"


FILTERS: Final[dict[str, Any]] = {
    "absolute": absolute,
    "relative": relative,
    "in_full": in_full,
    "until_text": until_text,
    "weekday": weekday,
}
