# SPDX-License-Identifier: AGPL-3.0-or-later
"""Times in the reader's zone: which one that is, and how a time is written."""

from __future__ import annotations

import pytest

from tests.support.database import SECOND, T
from z4j import clock
from z4j.web.auth.authentication import Identity
from z4j.web.frame import times
from z4j.web.frame.times import COOKIE, absolute, in_full, reader_zone, reading_in, relative, until_text, weekday

KATHMANDU = "Asia/Kathmandu"
DAY = clock.DAY_US
NOW = 1_795_410_901_204_512  # 2026-11-23T05:15:01.204512Z


def test_a_time_is_written_in_the_zone_and_its_title_has_utc_too() -> None:
    assert absolute(T) == "2026-11-18 11:06:40.000 UTC"
    assert in_full(T) == "2026-11-18 11:06:40.000 UTC"
    assert until_text(T, T + 5 * SECOND) == "5\u202fs ago"
    with reading_in(KATHMANDU):
        assert absolute(T) == "2026-11-18 16:51:40.000 +0545"
        assert in_full(T) == "2026-11-18 16:51:40.000 +0545 · 2026-11-18 11:06:40.000 UTC"
        assert relative(T, T + 2 * DAY) == "18 Nov 16:51"
        assert relative(T, T + 5 * SECOND) == "5\u202fs ago"
        assert until_text(T, T + 5 * SECOND) == "5\u202fs ago · 2026-11-18 11:06:40.000 UTC"
        assert weekday(T, T + DAY) == "Wednesday 16:51"
        assert weekday(T, T + 9 * DAY) == "Wed 18 Nov 16:51"
        assert absolute(None) == relative(None, T) == until_text(None, T) == "–"
    assert reader_zone() == "UTC"


@pytest.mark.parametrize("at", [0, 253_402_300_799_999_999, 2**62])
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Niue", KATHMANDU])
def test_every_time_can_be_written_in_every_zone(at: int, zone: str) -> None:
    with reading_in(zone):
        assert absolute(at)
        assert relative(at, T)
        assert weekday(at, T)


class Request:
    """What `zone_for` looks at."""

    def __init__(self, identity: Identity, cookie: str = "", path: str = "/tasks") -> None:
        self.scope = {"identity": identity, "path": path}
        self.cookies = {COOKIE: cookie} if cookie else {}


@pytest.mark.parametrize(
    ("chosen", "cookie", "kind", "path", "zone"),
    [
        ("", "", "session", "/tasks", "UTC"),
        ("", "Asia%2FKathmandu", "session", "/tasks", KATHMANDU),
        ("Europe/Berlin", "Asia/Kathmandu", "session", "/tasks", "Europe/Berlin"),
        ("UTC", "Asia/Kathmandu", "session", "/tasks", "UTC"),
        ("", "../../etc/passwd", "session", "/tasks", "UTC"),
        ("Gone/Zone", "Asia/Kathmandu", "session", "/tasks", KATHMANDU),
        ("", "Asia/Kathmandu", "token", "/tasks", "UTC"),
        ("Europe/Berlin", "", "session", "/tasks.csv", "UTC"),
        ("Europe/Berlin", "", "session", "/incidents/1.html", "UTC"),
        ("Europe/Berlin", "", "session", "/api/v1/tasks", "UTC"),
    ],
)
def test_the_zone_is_the_chosen_one_else_that_of_the_browser(chosen: str, cookie: str, kind: str, path: str, zone: str) -> None:
    identity = Identity("ada", "admin", kind, time_zone=chosen)  # type: ignore[arg-type]
    assert times.zone_for(Request(identity, cookie, path)) == zone  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("15m", NOW - 15 * 60 * SECOND),
        ("24h", NOW - 86_400 * SECOND),
        ("1w", NOW - 7 * 86_400 * SECOND),
        ("999999d", 0),
        ("2026-11-23", 1_795_392_000_000_000),
        ("2026-11-23T05:15:01Z", 1_795_410_901_000_000),
        ("2026-11-23T06:15:01+01:00", 1_795_410_901_000_000),
    ],
)
def test_when(text: str, at: int) -> None:
    assert times.when(text, NOW) == at


@pytest.mark.parametrize("text", ["yesterday", "12", "5x", "2026-13-01", "1h30"])
def test_when_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        times.when(text, NOW)
