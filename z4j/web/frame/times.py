# SPDX-License-Identifier: AGPL-3.0-or-later
"""Times in two time zones: the schedule's and the viewer's, which the browser sends in a cookie (UTC without JavaScript)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from starlette.requests import HTTPConnection

from z4j import clock
from z4j.rules.schedules.due_times import BadSchedule, zone_of

COOKIE: Final = "z4j_zone"


@dataclass(frozen=True, slots=True)
class TwoTimes:
    """One instant, microseconds UTC, as two texts with their offsets."""

    at: int
    there: str
    here: str


def viewer_zone(request: HTTPConnection) -> str:
    """Returns the time zone that the browser sent, checked like any input; UTC where it sent none."""
    name = request.cookies.get(COOKIE, "").replace("%2F", "/")
    try:
        zone_of(name)
    except BadSchedule:
        return "UTC"
    return name or "UTC"


def two_times(at: int, zone: str, viewer: str) -> TwoTimes:
    """Returns a time in the zones of the schedule and of the viewer."""
    return TwoTimes(at, local_text(at, zone), local_text(at, viewer))


def local_text(at: int, zone: str) -> str:
    """Fri 27 Nov 02:30 +0100; with seconds where there are any, and with the year where it is another."""
    local = datetime.fromtimestamp(at / 1_000_000, UTC).astimezone(zone_of(zone))
    year = "" if local.year == datetime.fromtimestamp(clock.now() / 1_000_000, UTC).year else f" {local.year}"
    return f"{local:%a} {local.day} {local:%b}{year} {local.strftime('%H:%M:%S' if local.second else '%H:%M')} {local:%z}"
