# SPDX-License-Identifier: Apache-2.0
"""The next time of an expression. It is compared with croniter in the server's tests, and with each engine's own rule in its adapter's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from z4j_agent.runtime.time_zones import HostZone
from z4j_agent.wire.cron import SECOND, Cron, parse

BERLIN = ZoneInfo("Europe/Berlin")


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * SECOND


def times(text: str, after: str, count: int, *, by_clock: bool = False, day_or: bool = True) -> list[str]:
    at, texts = us(after), []
    for _ in range(count):
        at = parse(text).next_after(at, BERLIN, day_or=day_or, by_clock=by_clock) or 0
        texts.append(datetime.fromtimestamp(at / SECOND, UTC).astimezone(BERLIN).strftime("%d %H:%M %z"))
    return texts


@pytest.mark.parametrize(
    ("text", "day", "day_or", "both"),
    [
        ("0 0 13 * fri", date(2026, 11, 13), True, True),
        ("0 0 13 * fri", date(2026, 11, 6), True, False),
        ("0 0 13 * fri", date(2026, 12, 13), True, False),
        ("0 0 13 * fri", date(2026, 11, 7), False, False),
        ("0 0 13 11 *", date(2026, 12, 13), False, False),
        ("0 0 13 * *", date(2026, 12, 13), True, True),
        ("0 0 13 * *", date(2026, 12, 14), False, False),
        ("0 0 * * fri", date(2026, 12, 13), False, False),
    ],
)
def test_which_days_match(text: str, day: date, day_or: bool, both: bool) -> None:
    assert (parse(text).matches_day(day, day_or=True), parse(text).matches_day(day, day_or=False)) == (day_or, both)


def test_a_time_that_the_clocks_skip() -> None:
    before = "2027-03-27T12:00+01:00"
    assert times("30 2 * * *", before, 2) == ["28 03:30 +0200", "29 02:30 +0200"]
    assert times("30 2 * * *", before, 2, by_clock=True) == ["29 02:30 +0200", "30 02:30 +0200"]
    assert times("30 2,3 28 * *", before, 1) == ["28 03:30 +0200"]
    assert times("50 1,2 * * *", before, 3, by_clock=True) == ["28 01:50 +0100", "29 01:50 +0200", "29 02:50 +0200"]


def test_a_day_that_the_calendar_skips() -> None:
    """Samoa had no 30th of December in 2011: what was due then was due on the 31st."""
    due = parse("0 12 30 12 *").next_after(us("2011-12-31T06:00+14:00"), ZoneInfo("Pacific/Apia"))
    assert due == us("2011-12-31T12:00+14:00")


def test_a_time_that_comes_twice() -> None:
    before = "2026-10-24T12:00+02:00"
    assert times("30 2 * * *", before, 2) == ["25 02:30 +0200", "26 02:30 +0100"]
    assert times("30 2 * * *", before, 3, by_clock=True) == ["25 02:30 +0200", "25 02:30 +0100", "26 02:30 +0100"]
    hourly = ["25 01:30 +0200", "25 02:30 +0200", "25 02:30 +0100", "25 03:30 +0100"]
    assert times("30 * * * *", "2026-10-25T01:00+02:00", 4) == hourly
    assert times("30 * * * *", "2026-10-25T01:00+02:00", 4, by_clock=True) == hourly
    assert times("30 1-3 * * *", "2026-10-25T01:00+02:00", 3) == ["25 01:30 +0200", "25 02:30 +0200", "25 03:30 +0100"]


def test_a_rare_day_is_found_and_one_that_never_comes_is_not() -> None:
    begin = us("2026-04-01T00:00+00:00")
    leap = parse("0 0 29 2 mon").next_after(begin, UTC, day_or=False)
    assert leap == us("2044-02-29T00:00+00:00")
    assert parse("0 0 29 2 mon").next_after(begin, UTC) == us("2027-02-01T00:00+00:00")
    assert parse("0 0 31 6 fri").next_after(begin, UTC, day_or=False) is None
    everything = {"minutes": range(60), "hours": range(24), "days": range(1, 32), "months": range(1, 13), "weekdays": range(7)}
    for name in everything:
        assert Cron.of(**(everything | {name: ()})).next_after(begin, UTC) is None  # type: ignore[arg-type]
    assert Cron.of(**everything, seconds=()).next_after(begin, UTC) is None  # type: ignore[arg-type]


def test_seconds_and_offsets() -> None:
    begin = us("2026-04-01T10:20:30+00:00")
    assert parse("* * * * * *").next_after(begin, UTC) == begin + SECOND
    assert parse("30 20 * * * *").next_after(begin, UTC) == begin + 3_600 * SECOND
    assert parse("30 20 * * * *").next_after(begin - 1, UTC) == begin
    india = timezone(timedelta(hours=5, minutes=30))
    assert parse("0 16 * * *").next_after(begin, india) == us("2026-04-01T16:00+05:30")


def test_sets_and_texts_say_the_same() -> None:
    for text in ("30 2 * * *", "*/15 1,2 1-7 mar,jun mon-fri", "5 0 31 12 sun"):
        cron = parse(text)
        again = Cron.of(*cron.sets)
        assert parse(again.text).sets == again.sets == cron.sets
    assert Cron.of({1}, {2}, {3}, {4}, {5}, {6}).text == "6 1 2 3 4 sat"


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[ZoneInfo]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield ZoneInfo(request.param)
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("host", ["Europe/Berlin", "Australia/Lord_Howe", "America/Asuncion"], indirect=True)
def test_the_zone_of_the_host_is_what_its_clock_says(host: ZoneInfo) -> None:
    start = datetime(2023, 1, 1, tzinfo=UTC)
    for hour in range(0, 2 * 366 * 24, 1):
        at = start + timedelta(hours=hour, minutes=hour % 60)
        here, there = at.astimezone(HostZone()), at.astimezone(host)
        assert (here.replace(tzinfo=None), here.fold, here.utcoffset()) == (there.replace(tzinfo=None), there.fold, there.utcoffset())
        assert here.astimezone(UTC) == at
