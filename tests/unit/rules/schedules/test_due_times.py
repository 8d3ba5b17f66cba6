# SPDX-License-Identifier: AGPL-3.0-or-later
"""Due times: changes of the clocks, leap days, the ends of years, intervals, and the sentences that describe them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from z4j.rules.schedules.due_times import SECOND, BadSchedule, Timing, at_of, clock_changes, sentence, zone_of, zones
from z4j_agent.wire import cron


def us(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * SECOND


def local(at: int, zone: str) -> str:
    return datetime.fromtimestamp(at / SECOND, UTC).astimezone(zone_of(zone)).strftime("%Y-%m-%d %H:%M:%S%z")


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
        # Every hour is due in both of the hours that come twice, and so is the next one after any of them.
        ("Europe/Berlin", "0 * * * *", "2027-10-31 01:30",
         ["2027-10-31 02:00:00+0200", "2027-10-31 02:00:00+0100", "2027-10-31 03:00:00+0100"]),
        ("Europe/Berlin", "30 2 * * *", "2027-03-28 03:15", ["2027-03-28 03:30:00+0200", "2027-03-29 02:30:00+0200"]),
        ("Europe/Berlin", "* * * * *", "2027-03-28 01:58",
         ["2027-03-28 01:59:00+0100", "2027-03-28 03:00:00+0200", "2027-03-28 03:01:00+0200"]),
        ("Australia/Lord_Howe", "15 * * * *", "2027-10-03 01:20", ["2027-10-03 02:45:00+1100", "2027-10-03 03:15:00+1100"]),
        # The clocks skip half an hour: 02:15 is due at 02:45, which is after 02:35.
        ("Australia/Lord_Howe", "15,35 2 * * *", "2027-10-02 12:00", ["2027-10-03 02:35:00+1100", "2027-10-03 02:45:00+1100"]),
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
    assert [local(of.at, "UTC")[:19] for of in found] == ["2027-03-28 01:00:00", "2027-10-31 01:00:00"]
    assert clock_changes(Timing("cron", "30 4 * * *", "Europe/Berlin"), us("2026-11-23")) == []
    assert clock_changes(Timing("cron", "30 2 * * *", "UTC"), us("2026-11-23")) == []
    assert clock_changes(Timing("interval", "90", "Europe/Berlin"), us("2026-11-23")) == []
    hourly = clock_changes(Timing("cron", "30 * * * *", "Europe/Berlin"), us("2026-11-23"))
    assert [of.is_gap for of in hourly] == [False], "every hour is every hour; only that one local time comes twice is said"


@pytest.mark.parametrize("minute", range(0, 60, 7))
def test_the_instant_of_a_change_is_exact_from_wherever_it_is_looked_for(minute: int) -> None:
    timing = Timing("cron", "30 2 * * *", "Europe/Berlin")
    for hour in (0, 5, 13):
        changes = clock_changes(timing, us("2027-03-20") + (hour * 3_600 + minute * 61) * SECOND)
        assert [of.at for of in changes] == [us("2027-03-28 01:00"), us("2027-10-31 01:00"), us("2028-03-26 01:00")]


@pytest.mark.parametrize(("expression", "counts"), [
    ("0 2 * * *", [1, 1]),  # the first local time that is skipped
    ("59 2 * * *", [1, 1]),
    ("0 3 * * *", []),  # the first one after it
    ("59 59 1 * * *", []),  # the last second before it
    ("59 59 2 * * *", [1, 1]),
    ("*/5 2,3 * * *", [12, 12]),
    ("* * 2 * * *", [60, 60]),  # of more it does not matter how many
    ("* 2 * * *", [60, 60]),
    ("15 */1 * * *", [1]),
])  # fmt: skip
def test_which_local_times_a_change_concerns(expression: str, counts: list[int]) -> None:
    found = clock_changes(Timing("cron", expression, "Europe/Berlin"), us("2026-11-23"))
    assert [of.count for of in found] == counts


def test_changes_are_foretold_for_four_hundred_days() -> None:
    timing = Timing("cron", "30 2 * * *", "Europe/Berlin")
    assert [of.local[:10] for of in clock_changes(timing, us("2026-02-21 00:59:59"))] == ["2026-03-29", "2026-10-25"]
    assert [of.local[:10] for of in clock_changes(timing, us("2026-02-21 01:00"))] == ["2026-03-29", "2026-10-25", "2027-03-28"]


def test_intervals_count_from_their_anchor() -> None:
    timing = Timing("interval", "90", anchor=1_000 * SECOND)
    assert timing.after(0) == 1_000 * SECOND
    assert timing.after(1_000 * SECOND - 1) == 1_000 * SECOND
    assert timing.after(1_000 * SECOND) == 1_090 * SECOND
    assert timing.after(1_090 * SECOND - 1) == 1_090 * SECOND
    assert timing.after(1_090 * SECOND) == 1_180 * SECOND
    assert Timing("interval", "0.5").upcoming(0, 3) == [500_000, 1_000_000, 1_500_000]
    assert timing.period_us(0) == 90 * SECOND


@pytest.mark.parametrize("bounds", [{}, {"starts_at": us("2026-12-01") + 7}, {"ends_at": us("2026-12-01") + 3_600_000_000}])
def test_the_due_times_of_an_interval_are_those_one_by_one(bounds: dict[str, Any]) -> None:
    timing, until = Timing("interval", "90.5", anchor=us("2026-11-30") + 3, **bounds), us("2026-12-01") + 2 * 3_600_000_000
    due, one_by_one = timing.after(us("2026-12-01")), []
    while due is not None and due <= until:
        one_by_one.append(due)
        due = timing.after(due)
    assert list(timing.between(us("2026-12-01"), until)) == one_by_one
    assert len(one_by_one) > 30
    assert list(timing.between(us("2026-12-01"), one_by_one[4])) == one_by_one[:5], "the end is included"
    assert list(timing.between(us("2026-12-01"), one_by_one[0] - 1)) == []


def test_beginning_and_end() -> None:
    timing = Timing("cron", "0 0 * * *", starts_at=us("2027-01-02"), ends_at=us("2027-01-03"))
    assert list(timing.between(us("2026-12-01"), us("2027-12-01"))) == [us("2027-01-02"), us("2027-01-03")]
    assert timing.upcoming(us("2026-12-01"), 1) == [us("2027-01-02")]
    assert timing.upcoming(us("2026-12-01"), 5) == [us("2027-01-02"), us("2027-01-03")], "it ends before"
    unending = Timing("cron", "0 0 * * *", starts_at=us("2027-01-02"))
    assert list(unending.between(us("2027-01-01"), us("2027-01-03"))) == [us("2027-01-02"), us("2027-01-03")]
    assert unending.after(us("2027-02-01")) == us("2027-02-02"), "it has begun"
    early = Timing("interval", "1", anchor=us("2027-01-02") - 1, starts_at=us("2027-01-02"))
    assert early.after(us("2027-01-01")) == us("2027-01-02") + SECOND - 1, "a microsecond before its beginning it is not due"


def test_what_is_due_once_or_never() -> None:
    once = Timing("once", "2027-01-02T00:00:00+00:00")
    assert once.upcoming(us("2026-01-01"), 3) == [us("2027-01-02")]
    assert once.after(us("2027-01-02") - 1) == us("2027-01-02")
    assert once.after(us("2027-01-02")) is None
    assert once.period_us(us("2026-01-01")) is None
    assert list(once.between(us("2026-01-01"), us("2028-01-01"))) == [us("2027-01-02")]
    assert Timing("other", "solar noon").after(0) is None
    assert Timing("cron", "0 0 30 2 mon", day_or=False).after(us("2026-01-01")) is None, "no year has that day"


def test_nothing_is_due_after_the_last_year_of_calendars() -> None:
    assert Timing("once", "2100-01-01T00:00:00+00:00").after(0) == us("2100-01-01")
    assert Timing("once", "2100-01-01T00:00:01+00:00").after(0) is None


def test_numbers_and_words_of_schedules() -> None:
    assert SECOND == 1_000_000
    assert str(BadSchedule("It cannot be held.", "* * * * *")) == "It cannot be held."


def test_a_day_and_a_weekday_are_either_of_them_unless_the_scheduler_means_both() -> None:
    friday, thirteenth = us("2026-11-27 12:00"), us("2027-08-13 12:00")
    assert Timing("cron", "0 12 13 * fri").after(us("2026-11-23")) == friday
    assert Timing("cron", "0 12 13 * fri", day_or=False).after(us("2026-11-23")) == thirteenth


def test_six_fields_have_the_second_in_front() -> None:
    timing = Timing("cron", "30 0 2 * * *")
    assert timing.upcoming(us("2026-11-23"), 2) == [us("2026-11-23 02:00:30"), us("2026-11-24 02:00:30")]
    assert timing.after(us("2026-11-23 02:00:29") + 999_999) == us("2026-11-23 02:00:30")
    assert timing.after(us("2026-11-23 02:00:30") + 1) == us("2026-11-24 02:00:30")


@pytest.mark.parametrize(("seconds", "said"), [
    ("0.5", "0.5 seconds"), ("1", "second"), ("2", "2 seconds"), ("90", "90 seconds"), ("60", "minute"), ("120", "2 minutes"),
    ("3600", "hour"), ("7200", "2 hours"), ("5400", "90 minutes"), ("86400", "day"), ("172800", "2 days"), ("604800", "week"),
    ("1209600", "2 weeks"), ("61", "61 seconds"), ("1.5", "1.5 seconds"),
])  # fmt: skip
def test_an_interval_in_words(seconds: str, said: str) -> None:
    assert sentence("interval", seconds) == f"Every {said}"


def test_sentences() -> None:
    assert sentence("cron", "0 12 13 * fri") == "At 12:00, on day 13 of the month, or on Friday"
    assert sentence("cron", "0 12 13 * fri", day_or=False) == "At 12:00, on day 13 of the month, only if it is Friday"
    assert sentence("cron", "30 17 * * *") == "At 17:30"
    assert sentence("once", "2027-03-28T05:30:00+02:00") == "Once, at 2027-03-28 05:30:00 +0200"
    assert sentence("other", "sunrise in Rome") == "sunrise in Rome"
    assert sentence("other", "* * * * *") == "* * * * *", "what is no cron expression is not read as one"
    assert sentence("cron", "not cron") == "not cron"


def test_zones_have_names() -> None:
    assert {"Europe/Berlin", "America/Argentina/Buenos_Aires"} <= set(zones())
    assert list(zones()) == sorted(zones())
    assert not {"UTC", "EST5EDT", "Etc/UTC", "Etc/GMT+5"} & set(zones())
    assert zone_of("UTC") is UTC
    assert zone_of("") is UTC
    assert zone_of("UTC+05:30").utcoffset(None) == timedelta(hours=5, minutes=30)
    assert zone_of("UTC-03:15").utcoffset(None) == -timedelta(hours=3, minutes=15)
    for name, shown in (("Europe/Bielefeld", "Europe/Bielefeld"), ("X" * 61, "X" * 60), ("../etc", "../etc"), ("UTC+5", "UTC+5")):
        with pytest.raises(BadSchedule) as caught:
            zone_of(name)
        assert str(caught.value) == f"Unknown time zone “{shown}”."


@pytest.mark.parametrize("text", ["2027-01-01T00:00:00", "noon", "", "x" * 61])
def test_a_time_has_an_offset(text: str) -> None:
    with pytest.raises(BadSchedule) as caught:
        at_of(text)
    assert str(caught.value) == f"“{text[:60]}” is not a valid time: use a format like 2026-11-23T05:30:00+00:00."
    assert caught.value.nearest == ""
    assert at_of("2026-11-23T05:30:00.5+00:00") == us("2026-11-23 05:30") + SECOND // 2


@pytest.mark.parametrize(
    ("kind", "expression", "is_hourly"),
    [
        ("interval", "1", True), ("interval", "3600", True), ("interval", "3601", False), ("cron", "*/5 * * * *", True),
        ("cron", "30 * 1 * *", True), ("cron", "0 0-22 * * *", False), ("once", "2026-11-30T05:30:00+00:00", False), ("other", "", False),
    ],
)  # fmt: skip
def test_what_has_due_times_in_every_hour(kind: str, expression: str, is_hourly: bool) -> None:
    assert Timing(kind, expression).is_hourly == is_hourly
