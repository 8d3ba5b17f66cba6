# SPDX-License-Identifier: AGPL-3.0-or-later
"""Labels of times are round in the zone of the person, few, and within the axis."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from z4j.rules.charts.time_axis import EDGE, LAST_AT, MOST, Tick, anchor_at, moment_text, position, ticks

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR


def at(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * SECOND


def labels(since: int, length: int, zone: str = "UTC") -> list[str]:
    return [tick.label for tick in ticks(since, since + length, zone)]


@pytest.mark.parametrize(
    ("since", "length", "zone", "shown"),
    [
        ("2026-11-27T12:42", HOUR * 3 // 2, "UTC", ["12:45", "13:00", "13:15", "13:30", "13:45", "14:00"]),
        ("2026-11-27T22:30", 3 * HOUR, "UTC", ["22:30", "23:00", "23:30", "28 Nov", "00:30", "01:00", "01:30"]),
        ("2026-11-27T00:00", DAY, "Europe/Berlin", ["27 Nov", "03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00", "28 Nov"]),
        ("2026-11-27T10:00", 7 * DAY, "UTC", ["28 Nov", "29 Nov", "30 Nov", "1 Dec", "2 Dec", "3 Dec", "4 Dec"]),
        ("2026-11-01T00:00", 40 * DAY, "UTC", ["2 Nov", "9 Nov", "16 Nov", "23 Nov", "30 Nov", "7 Dec"]),
        ("2026-11-05T00:00", 200 * DAY, "UTC", ["Dec", "2027", "Feb", "Mar", "Apr", "May"]),
        ("2026-11-27T12:42", 60 * SECOND, "UTC", ["12:42:00", "12:42:10", "12:42:20", "12:42:30", "12:42:40", "12:42:50", "12:43:00"]),
        ("2026-11-27T12:00", 2 * HOUR, "Asia/Kathmandu", ["12:00", "12:15", "12:30", "12:45", "13:00", "13:15", "13:30", "13:45", "14:00"]),
    ],
)
def test_labels_are_round_local_times(since: str, length: int, zone: str, shown: list[str]) -> None:
    assert labels(at(since, zone), length, zone) == shown


def test_an_hour_that_the_clocks_skip_has_no_label_and_one_that_comes_twice_has_one() -> None:
    spring = labels(at("2026-03-29T00:00", "Europe/Berlin"), 8 * HOUR, "Europe/Berlin")
    assert spring == ["29 Mar", "01:00", "03:00", "04:00", "05:00", "06:00", "07:00", "08:00", "09:00"]
    autumn = labels(at("2026-10-25T00:00", "Europe/Berlin"), 8 * HOUR, "Europe/Berlin")
    assert autumn == ["25 Oct", "01:00", "02:00", "03:00", "04:00", "05:00", "06:00", "07:00"]


def test_a_day_without_midnight_is_not_labeled_wrongly() -> None:
    """In Beirut the clocks skip from 0:00 to 1:00."""
    for tick in ticks(at("2026-03-28T12:00", "Asia/Beirut"), at("2026-03-29T12:00", "Asia/Beirut"), "Asia/Beirut"):
        assert tick.label in {"12:00", "15:00", "18:00", "21:00", "03:00", "06:00", "09:00", "29 Mar"}


def test_a_narrow_chart_shows_every_second_label() -> None:
    found = ticks(0, 90 * 60 * SECOND, "UTC")
    assert sum(tick.is_major for tick in found) == -(-len(found) // 2)
    assert all(tick.is_major for tick in ticks(0, 6 * 60 * SECOND, "UTC")[::2])
    assert all(tick.is_major for tick in ticks(1, 35 * DAY, "UTC")) is False
    few = ticks(at("2026-11-03T00:00"), at("2026-11-28T00:00"), "UTC")
    assert [(tick.label, tick.is_major) for tick in few] == [("9 Nov", True), ("16 Nov", True), ("23 Nov", True)]


def test_no_range_has_no_ticks() -> None:
    assert ticks(5, 5, "UTC") == ()
    assert position(5, 5, 5) == 0
    assert moment_text(LAST_AT * 2, "UTC", with_day=True) == "1 Jan 00:00"


@given(
    some.integers(0, 4_000_000_000 * SECOND), some.integers(1, 4_000_000_000 * SECOND),
    some.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia", "Australia/Lord_Howe", "Asia/Beirut"]),
)  # fmt: skip
@settings(deadline=None)
def test_ticks_ascend_within_the_axis(since: int, length: int, zone: str) -> None:
    found = ticks(since, since + length, zone)
    assert 1 <= len(found) <= MOST + 1
    assert [tick.x for tick in found] == sorted(tick.x for tick in found)
    assert all(0 <= tick.x <= 1_000 and tick.label for tick in found)
    assert sum(tick.is_major for tick in found) <= MOST // 2 + 1


def test_the_text_of_a_moment_is_local() -> None:
    noon = int(datetime(2026, 7, 1, 12, 0, 5, tzinfo=UTC).timestamp()) * SECOND
    assert moment_text(noon, "Europe/Berlin") == "14:00:05"
    assert moment_text(noon - 5 * SECOND, "Europe/Berlin", with_day=True) == "1 Jul 14:00"


@pytest.mark.parametrize(
    ("step", "shown"),
    [(1, "12:00:01"), (2, "12:00:02"), (5, "12:00:05"), (10, "12:00:10"), (15, "12:00:15"), (30, "12:00:30"), (60, "12:01"), (120, "12:02"),
     (300, "12:05"), (600, "12:10"), (900, "12:15"), (1_800, "12:30"), (3_600, "13:00"), (7_200, "14:00"), (10_800, "15:00"),
     (21_600, "18:00"), (43_200, "28 Nov")],
)  # fmt: skip
def test_the_step_is_the_smallest_with_eight_labels(step: int, shown: str) -> None:
    noon = at("2026-11-27T12:00")
    found = ticks(noon, noon + 8 * step * SECOND, "UTC")
    assert found[0].label == ("12:00:00" if step < 60 else "12:00")
    assert found[1].label == shown
    assert [tick.x for tick in found] == [125.0 * number for number in range(9)]
    assert len(ticks(noon, noon + (8 * step + 1) * SECOND, "UTC")) < 9


@pytest.mark.parametrize(
    ("days", "shown"), [(1, ["1 Feb", "2 Feb"]), (2, ["2 Feb", "4 Feb"]), (7, ["2 Feb", "9 Feb"]), (14, ["2 Feb", "16 Feb"])]
)
def test_days_begin_on_even_days_and_mondays(days: int, shown: list[str]) -> None:
    assert labels(at("2026-02-01T00:00"), 8 * days * DAY)[:2] == shown
    assert labels(at("2026-02-01T00:00"), 8 * days * DAY + SECOND)[:2] != shown


@pytest.mark.parametrize(
    ("months", "shown"),
    [(1, ["2026", "Feb", "Mar"]), (2, ["2026", "Mar", "May"]), (3, ["2026", "Apr", "Jul"]), (6, ["2026", "Jul", "2027"]),
     (12, ["2026", "2027", "2028"]), (24, ["2026", "2028", "2030"]), (60, ["2030", "2035", "2040"]), (120, ["2030", "2040", "2050"]),
     (600, ["2050", "2100", "2150"])],
)  # fmt: skip
def test_months_are_those_that_divide_a_year(months: int, shown: list[str]) -> None:
    length = 7 * months * 30 * DAY
    assert labels(at("2026-01-01T00:00"), length)[:3] == shown
    if months < 600:
        assert labels(at("2026-01-01T00:00"), length + DAY)[:3] != shown


def test_positions_are_shares_of_the_range() -> None:
    assert [position(value, 100, 400) for value in (50, 100, 101, 250, 400, 900)] == [0.0, 0.0, 3.3, 500.0, 1_000.0, 1_000.0]
    assert [anchor_at(x) for x in (0, 500, 950, 950.1, 1_000)] == ["middle", "middle", "middle", "end", "end"]
    assert EDGE == 50


def test_a_range_without_a_round_time_shows_its_start() -> None:
    [tick] = ticks(at("2026-11-27T12:00") + 100, at("2026-11-27T12:00") + 200, "UTC")
    assert tick == Tick(0.0, "12:00", True, "middle")


def test_ticks_do_not_begin_before_the_range() -> None:
    noon = at("2026-11-27T12:00")
    assert labels(noon + SECOND // 2, 3 * SECOND) == ["12:00:01", "12:00:02", "12:00:03"]
    assert labels(noon + 1, 4 * 60 * SECOND)[0] == "12:00:30"
    midnight = ["23:59:00", "23:59:15", "23:59:30", "23:59:45", "28 Nov", "00:00:15", "00:00:30", "00:00:45", "00:01:00"]
    assert labels(at("2026-11-27T23:59"), 120 * SECOND) == midnight
    assert labels(at("2026-11-27T01:00"), 2 * 60 * SECOND)[4] == "01:01:00"
    assert labels(at("2026-11-27T00:10"), 5 * 60 * SECOND) == ["00:10", "00:11", "00:12", "00:13", "00:14", "00:15"]
    half = at("2026-11-27T12:00", "Asia/Kathmandu")
    assert labels(half, 8 * 1_800 * SECOND, "Asia/Kathmandu")[:3] == ["12:00", "12:30", "13:00"]


def test_four_labels_are_all_major_and_of_five_every_second_is() -> None:
    noon = at("2026-11-27T12:00")
    assert [tick.is_major for tick in ticks(noon, noon + 3 * DAY, "UTC")].count(True) == 4
    assert [tick.is_major for tick in ticks(at("2026-11-02T00:00"), at("2026-11-23T00:00"), "UTC")] == [True] * 4
    assert [tick.is_major for tick in ticks(at("2026-11-02T00:00"), at("2026-11-30T00:00"), "UTC")] == [True, False, True, False, True]


def test_the_end_of_the_calendar_is_no_error() -> None:
    assert len(ticks(LAST_AT - DAY, LAST_AT * 2, "UTC")) <= MOST + 1
    assert labels(0, LAST_AT) == ["2000", "2050", "2100", "2150", "2200", "2250", "2300", "2350"], "half centuries, the longest step"
    for length in (HOUR, DAY, 5 * DAY, 60 * DAY, 400 * DAY):
        assert ticks(LAST_AT - length, LAST_AT + length, "Pacific/Kiritimati"), "whose days begin 14 hours earlier"
