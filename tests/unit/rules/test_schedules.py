# SPDX-License-Identifier: AGPL-3.0-or-later
"""Due times: against a plain search through the minutes, through changes of the clocks, leap days and the ends of years."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from z4j.rules.schedules import SECOND, BadSchedule, Timing, at_of, clock_changes, sentence, zone_of, zones
from z4j_agent import cron

START = datetime(2026, 1, 1, tzinfo=UTC)
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago")
"""One that goes forward in March, one with other dates, one that moves by half an hour, one of the south whose midnight is skipped."""


def us(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * SECOND


def local(at: int, zone: str) -> str:
    return datetime.fromtimestamp(at / SECOND, UTC).astimezone(zone_of(zone)).strftime("%Y-%m-%d %H:%M:%S%z")


def numbers(low: int, high: int) -> st.SearchStrategy[str]:
    one = st.integers(low, high)
    span = st.tuples(one, one).map(lambda pair: f"{min(pair)}-{max(pair)}")
    step = st.integers(1, high)
    return st.one_of(
        st.just("*"), one.map(str), span, step.map(lambda n: f"*/{n}"), st.tuples(span, step).map(lambda pair: f"{pair[0]}/{pair[1]}"),
        st.lists(one.map(str), min_size=2, max_size=4).map(",".join),
    )  # fmt: skip


WEEKDAYS = st.one_of(
    st.just("*"), st.lists(st.sampled_from(cron.WEEKDAYS), min_size=1, max_size=4).map(",".join), numbers(0, 7),
    st.tuples(st.sampled_from(cron.WEEKDAYS), st.sampled_from(cron.WEEKDAYS)).map("-".join),
)  # fmt: skip
EXPRESSIONS = st.tuples(numbers(0, 59), numbers(0, 23), numbers(1, 31), numbers(1, 12), WEEKDAYS).map(" ".join)


def matches(found: cron.Cron, at: datetime, is_either: bool) -> bool:
    is_day, is_weekday = at.day in found.days, at.weekday() in found.weekdays
    if found.is_any_day or found.is_any_weekday or not is_either:
        is_right_day = is_day and is_weekday
    else:
        is_right_day = is_day or is_weekday
    return at.minute in found.minutes and at.hour in found.hours and at.month in found.months and is_right_day


def search(found: cron.Cron, after: datetime, is_either: bool, days: int) -> datetime | None:
    """Minute by minute, skipping days that cannot match."""
    at = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
    ends = after + timedelta(days=days)
    while at < ends:
        if not any(matches(found, at.replace(hour=h, minute=m), is_either) for h in list(found.hours)[:1] for m in list(found.minutes)[:1]):
            at = at.replace(hour=0, minute=0) + timedelta(days=1)
            continue
        if matches(found, at, is_either):
            return at
        at += timedelta(minutes=1)
    return None


@settings(max_examples=400, deadline=None)
@given(EXPRESSIONS, st.booleans(), st.integers(0, 4 * 366 * 1_440).map(lambda minute: START + timedelta(minutes=minute)))
@example("0 0 29 2 *", True, START + timedelta(days=59))
@example("59 23 31 12 *", True, START + timedelta(days=365, minutes=-1))
@example("0 12 13 * fri", False, START + timedelta(days=326))
def test_the_next_time_is_that_of_a_plain_search(expression: str, is_either: bool, after: datetime) -> None:
    try:
        found = cron.parse(expression)
    except cron.BadCron:
        return
    want = search(found, after, is_either, 800)
    got = Timing("cron", found.text, "UTC", is_either).after(int(after.timestamp()) * SECOND)
    if want is None:
        assert got is None or got > int((after + timedelta(days=799)).timestamp() * SECOND)
    else:
        assert got == int(want.timestamp()) * SECOND, (found.text, got and local(got, "UTC"))


@settings(max_examples=300, deadline=None)
@given(EXPRESSIONS)
def test_an_expression_says_the_same_when_it_is_written_and_read_again(expression: str) -> None:
    try:
        found = cron.parse(expression)
    except cron.BadCron:
        return
    again = cron.parse(found.text)
    assert (again.minutes, again.hours, again.days, again.months, again.weekdays) == (
        found.minutes, found.hours, found.days, found.months, found.weekdays
    )  # fmt: skip
    assert again.text == found.text
    made = cron.expression(found.minutes, found.hours, found.days, found.months, found.weekdays)
    assert cron.parse(made).minutes == found.minutes
    assert cron.parse(made).weekdays == found.weekdays


@pytest.mark.parametrize(
    "text",
    ["", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *", "5-1 * * * *", "a * * * *",
     "* * L * *", "* * * * fri#2", "0 0 31 2 *", "@reboot", "* * * * * * *", "1,,2 * * * *", "² * * * *", "* " * 200],
)  # fmt: skip
def test_what_is_no_expression(text: str) -> None:
    with pytest.raises(cron.BadCron):
        cron.parse(text)


@pytest.mark.parametrize(
    ("typed", "written"),
    [("@daily", "0 0 * * *"), ("0 0 * * 0", "0 0 * * sun"), ("0 0 * * 7", "0 0 * * sun"), ("0 0 * * 1-5", "0 0 * * mon-fri"),
     ("0 0 * * fri-mon", "0 0 * * mon,fri,sat,sun"), ("0 0 ? jan-mar MON", "0 0 * 1-3 mon"), ("*/1 * * * *", "* * * * *"),
     ("30 0 2 * * *", "30 0 2 * * *"), ("0 0 1-31 * 0-6", "0 0 * * *")],
)  # fmt: skip
def test_weekdays_are_written_by_name(typed: str, written: str) -> None:
    assert cron.parse(typed).text == written


@pytest.mark.parametrize("zone", ZONES)
def test_every_time_of_a_year_is_due_once_and_in_order(zone: str) -> None:
    """Through both changes of the clocks: a daily time on each of the days, an hourly one as often as hours pass."""
    start, end = us("2027-01-01"), us("2028-01-01")
    for expression in ("30 2 * * *", "0 0 * * *", "15 1,3 * * *"):
        timing = Timing("cron", expression, zone)
        found = list(timing.between(start, end))
        assert found == sorted(set(found)), "no double, and in order"
        days = [local(at, zone)[:10] for at in found]
        per_day = expression.count(",") + 1
        assert len(found) == 365 * per_day, (zone, expression, len(found))
        assert len(set(days)) == 365
    hourly = list(Timing("cron", "30 * * * *", zone).between(start, end))
    gaps = {b - a for a, b in itertools.pairwise(hourly)}
    if zone == "Australia/Lord_Howe":  # half an hour: one of its half hours comes twice, one not at all
        assert gaps == {3_600 * SECOND, 1_800 * SECOND} or gaps == {3_600 * SECOND, 1_800 * SECOND, 5_400 * SECOND}
    else:
        assert gaps == {3_600 * SECOND}
        assert len(hourly) == 365 * 24


@pytest.mark.parametrize(
    ("zone", "expression", "after", "due"),
    [
        ("Europe/Berlin", "30 2 * * *", "2027-03-27 12:00", ["2027-03-28 03:30:00+0200", "2027-03-29 02:30:00+0200"]),
        ("Europe/Berlin", "30 2 * * *", "2027-10-30 12:00", ["2027-10-31 02:30:00+0200", "2027-11-01 02:30:00+0100"]),
        ("Europe/Berlin", "*/30 * * * *", "2027-10-31 02:00",
         ["2027-10-31 02:30:00+0200", "2027-10-31 02:00:00+0100", "2027-10-31 02:30:00+0100", "2027-10-31 03:00:00+0100"]),
        ("America/New_York", "15 2 * * sun", "2027-03-08 00:00", ["2027-03-14 03:15:00-0400", "2027-03-21 02:15:00-0400"]),
        ("America/Santiago", "0 0 * * *", "2027-09-04 12:00", ["2027-09-05 01:00:00-0300", "2027-09-06 00:00:00-0300"]),
        ("Australia/Lord_Howe", "15 2 * * *", "2027-10-02 12:00", ["2027-10-03 02:45:00+1100", "2027-10-04 02:15:00+1100"]),
        ("UTC", "0 0 29 2 *", "2026-11-23 00:00", ["2028-02-29 00:00:00+0000", "2032-02-29 00:00:00+0000"]),
        ("Asia/Kolkata", "59 23 31 12 *", "2026-12-31 23:58", ["2026-12-31 23:59:00+0530", "2027-12-31 23:59:00+0530"]),
    ],
)  # fmt: skip
def test_where_the_clocks_change(zone: str, expression: str, after: str, due: list[str]) -> None:
    timing = Timing("cron", expression, zone)
    assert [local(at, zone) for at in timing.upcoming(us(after, zone), len(due))] == due


def test_changes_of_the_clocks_are_foretold() -> None:
    found = clock_changes(Timing("cron", "30 2 * * *", "Europe/Berlin"), us("2026-11-23"))
    assert [(of.is_gap, of.local, of.count) for of in found] == [(True, "2027-03-28 02:30", 1), (False, "2027-10-31 02:30", 1)]
    assert clock_changes(Timing("cron", "30 4 * * *", "Europe/Berlin"), us("2026-11-23")) == []
    assert clock_changes(Timing("cron", "30 2 * * *", "UTC"), us("2026-11-23")) == []
    hourly = clock_changes(Timing("cron", "30 * * * *", "Europe/Berlin"), us("2026-11-23"))
    assert [of.is_gap for of in hourly] == [False], "every hour is every hour; only that one local time comes twice is said"


def test_intervals_count_from_their_anchor() -> None:
    timing = Timing("interval", "90", anchor=1_000 * SECOND)
    assert timing.after(0) == 1_000 * SECOND
    assert timing.after(1_000 * SECOND) == 1_090 * SECOND
    assert timing.after(1_090 * SECOND - 1) == 1_090 * SECOND
    assert Timing("interval", "0.5").upcoming(0, 3) == [500_000, 1_000_000, 1_500_000]


def test_beginning_and_end() -> None:
    timing = Timing("cron", "0 0 * * *", starts_at=us("2027-01-02"), ends_at=us("2027-01-03"))
    assert list(timing.between(us("2026-12-01"), us("2027-12-01"))) == [us("2027-01-02"), us("2027-01-03")]
    once = Timing("once", "2027-01-02T00:00:00+00:00")
    assert once.upcoming(us("2026-01-01"), 3) == [us("2027-01-02")]
    assert once.period_us(us("2026-01-01")) is None
    assert Timing("other", "solar noon").after(0) is None


def test_sentences() -> None:
    assert sentence("interval", "90") == "Every 90 seconds"
    assert sentence("interval", "3600") == "Every hour"
    assert sentence("interval", "172800") == "Every 2 days"
    assert sentence("cron", "0 12 13 * fri") == "At 12:00, on day 13 of the month, or on Friday"
    assert sentence("cron", "0 12 13 * fri", is_either=False) == "At 12:00, on day 13 of the month, only if it is Friday"
    assert sentence("once", "2027-03-28T05:30:00+02:00") == "Once, at 2027-03-28 05:30:00 +0200"
    assert sentence("other", "sunrise in Rome") == "sunrise in Rome"
    assert sentence("cron", "not cron") == "not cron"


def test_zones_have_names() -> None:
    assert {"Europe/Berlin", "America/Argentina/Buenos_Aires"} <= set(zones())
    assert zone_of("UTC+05:30").utcoffset(None) == timedelta(hours=5, minutes=30)
    with pytest.raises(BadSchedule):
        at_of("2027-01-01T00:00:00")
