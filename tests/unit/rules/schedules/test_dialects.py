# SPDX-License-Identifier: AGPL-3.0-or-later
"""What each scheduler can hold, and what is said of a schedule that it cannot."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from z4j.rules.schedules.dialects import DIALECTS, MAX_INTERVAL_S, check
from z4j.rules.schedules.due_times import BadSchedule


@pytest.mark.parametrize(
    ("asked", "held"),
    [
        (("z4j", "interval", "5m", ""), ("300", "")),
        (("z4j", "interval", "1.5", ""), ("1.5", "")),
        (("z4j", "interval", "2 hours", ""), ("7200", "")),
        (("celery_beat", "cron", "@hourly", "", "Europe/Berlin"), ("0 * * * *", "Europe/Berlin")),
        (("apscheduler", "cron", "10 0 2 * * mon", "UTC"), ("10 0 2 * * mon", "UTC")),
        (("z4j", "once", "2027-03-28 05:30", "Europe/Berlin"), ("2027-03-28T05:30:00+02:00", "Europe/Berlin")),
        (("z4j", "once", "2027-03-28T05:30Z", "Europe/Berlin"), ("2027-03-28T05:30:00+00:00", "Europe/Berlin")),
    ],
)
def test_what_is_held(asked: tuple[str, ...], held: tuple[str, str]) -> None:
    assert check(*asked) == held


@pytest.mark.parametrize(
    ("asked", "word", "nearest"),
    [
        (("celery_beat", "cron", "0 0 0 * * *", ""), "does not support seconds", "0 0 * * *"),
        (("rq_scheduler", "cron", "30 2 * * *", "Asia/Kolkata", "UTC"), "one time zone", "0 21 * * *"),
        (("rq_scheduler", "cron", "30 2 1 * *", "Asia/Kolkata", "UTC"), "one time zone", ""),
        (("rq_scheduler", "cron", "bad", "Asia/Kolkata", "UTC"), "one time zone", ""),
        (("arq_cron", "interval", "5", ""), "only cron expressions", ""),
        (("z4j", "interval", "0.5", ""), "at most every 1 s", "1"),
        (("z4j", "interval", "often", ""), "not a valid interval", ""),
        (("z4j", "interval", "99999d", ""), "ten years", ""),
        (("z4j", "once", "2027-03-28 02:30", "Europe/Berlin"), "does not exist", "2027-03-28 03:30"),
        (("z4j", "once", "tomorrow", ""), "not a valid time", ""),
        (("z4j", "cron", "* * * *", ""), "five fields", ""),
        (("z4j", "cron", "* * * * *", "Mars/Olympus"), "Unknown time zone", ""),
        (("crontab", "cron", "* * * * *", ""), "Unknown scheduler", ""),
    ],
)
def test_what_is_refused_and_the_nearest_that_is_held(asked: tuple[str, ...], word: str, nearest: str) -> None:
    with pytest.raises(BadSchedule, match=word) as caught:
        check(*asked)
    assert caught.value.nearest == nearest


def refusal(*asked: str) -> tuple[str, str]:
    with pytest.raises(BadSchedule) as caught:
        check(*asked)
    return str(caught.value), caught.value.nearest


@pytest.mark.parametrize(
    ("scheduler", "word", "kinds", "has_seconds", "has_zones", "day_or"),
    [
        ("z4j", "z4j", "cron interval once", True, True, True),
        ("celery_beat", "Celery Beat", "cron interval once", False, True, False),
        ("rq_scheduler", "RQ Scheduler", "cron interval once", True, False, False),
        ("rq_cron", "RQ's cron", "cron interval", True, False, True),
        ("huey_periodic", "Huey", "cron interval once", False, False, False),
        ("arq_cron", "arq", "cron", True, False, False),
        ("taskiq_scheduler", "taskiq", "cron interval once", False, True, True),
        ("apscheduler", "APScheduler", "cron interval once", True, True, False),
    ],
)
def test_what_each_scheduler_holds(scheduler: str, word: str, kinds: str, has_seconds: bool, has_zones: bool, day_or: bool) -> None:
    of = DIALECTS[scheduler]
    assert (of.word, " ".join(of.kinds)) == (word, kinds)
    assert (of.has_seconds, of.has_zones, of.day_or, of.has_arguments, of.least_s) == (has_seconds, has_zones, day_or, True, 1.0)


def test_every_scheduler_that_agents_know_has_its_dialect() -> None:
    assert list(DIALECTS) == [
        "z4j", "celery_beat", "rq_scheduler", "rq_cron", "huey_periodic", "arq_cron", "taskiq_scheduler", "apscheduler",
    ]  # fmt: skip


def test_a_refusal_names_what_the_scheduler_can_hold() -> None:
    assert refusal("rq_cron", "once", "2027-01-01", "") == ("RQ's cron supports only cron expressions and intervals.", "")
    assert refusal("z4j", "other", "sunrise", "") == ("z4j supports only cron expressions and intervals and one-offs.", "")
    assert refusal("x" * 80, "cron", "* * * * *", "") == (f"Unknown scheduler {'x' * 40}.", "")


# -- intervals -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("typed", "seconds"),
    [("90", "90"), ("90 s", "90"), ("5 min", "300"), (" 2H ", "7200"), ("1d", "86400"), ("2w", "1209600"), ("1.25", "1.25"), ("1", "1"),
     ("999999", "999999"), ("1000000", "1000000"), ("1234567", "1234567"), ("12345678.5", "12345678.5"),
     ("1234.125", "1234.125"), ("0.5h", "1800"), ("1.001m", "60.06"),
     ("7 seconds", "7"), ("7 secs", "7"), ("1 sec", "1"), ("7second", "7"), ("3 minutes", "180"), ("3 mins", "180"), ("3 minute", "180"),
     ("2 hrs", "7200"), ("2 hr", "7200"), ("2 hour", "7200"), ("2 hours", "7200"), ("3 days", "259200"), ("3 day", "259200"),
     ("1 week", "604800"), ("1 weeks", "604800")],
)  # fmt: skip
def test_intervals_are_written_in_seconds(typed: str, seconds: str) -> None:
    assert check("z4j", "interval", typed, "Europe/Berlin") == (seconds, "")


def test_the_shortest_and_the_longest_interval() -> None:
    assert MAX_INTERVAL_S == 10 * 366 * 24 * 3_600
    assert check("z4j", "interval", str(MAX_INTERVAL_S), "") == (str(MAX_INTERVAL_S), "")
    assert refusal("z4j", "interval", str(MAX_INTERVAL_S + 1), "") == ("The longest interval is ten years.", "")
    assert refusal("celery_beat", "interval", "0.999", "") == ("Celery Beat runs a schedule at most every 1 s.", "1")


@pytest.mark.parametrize("typed", ["0", "0.0", "-5", "5x", "5m 3s", "5 months", "3 years", "5 mo", "٣", "", "1e9", "1.2345", "1234567890"])
def test_what_is_no_interval_is_refused_with_what_was_typed(typed: str) -> None:
    assert refusal("z4j", "interval", typed, "") == (f"“{typed}” is not a valid interval: use seconds, or 5m, 2h, 1d.", "")


def test_a_long_text_is_quoted_in_part() -> None:
    assert refusal("z4j", "interval", "x" * 99, "")[0].startswith(f"“{'x' * 40}” is")
    assert refusal("z4j", "once", "x" * 99, "")[0].startswith(f"“{'x' * 40}” is")


# -- one-offs ------------------------------------------------------------------------------------------------------------
def test_a_one_off_is_kept_with_its_offset() -> None:
    assert check("z4j", "once", " 2027-07-01 05:30:09.5 ", "Europe/Berlin") == ("2027-07-01T05:30:09+02:00", "Europe/Berlin")
    assert check("z4j", "once", "2027-07-01T05:30:00-05:00", "Europe/Berlin") == ("2027-07-01T05:30:00-05:00", "Europe/Berlin")


def test_of_a_local_time_that_comes_twice_the_first_is_meant() -> None:
    assert check("z4j", "once", "2027-10-31 02:30", "Europe/Berlin")[0] == "2027-10-31T02:30:00+02:00"


def test_a_local_time_that_the_clocks_skip_is_refused_with_the_next_that_exists() -> None:
    assert refusal("z4j", "once", "2027-03-28 02:30:15", "Europe/Berlin") == (
        "2027-03-28 02:30 does not exist in Europe/Berlin: it is skipped by a clock change.",
        "2027-03-28 03:30",
    )


# -- cron and zones ------------------------------------------------------------------------------------------------------
def test_without_a_zone_the_schedulers_own_is_meant_and_without_one_utc() -> None:
    assert check("rq_scheduler", "cron", "0 0 * * *", "", "Asia/Kolkata") == ("0 0 * * *", "Asia/Kolkata")
    assert check("z4j", "cron", "0 0 * * *", " ") == ("0 0 * * *", "UTC")
    assert check("z4j", "cron", "0 0 * * *", " Asia/Kolkata ", "UTC") == ("0 0 * * *", "Asia/Kolkata")


def test_a_scheduler_with_one_zone_takes_no_other() -> None:
    assert check("rq_scheduler", "cron", "0 0 * * *", "UTC", "UTC") == ("0 0 * * *", "UTC")
    assert check("rq_scheduler", "cron", "0 0 * * *", "Asia/Kolkata") == ("0 0 * * *", "Asia/Kolkata"), "its own zone is not known"
    assert refusal("huey_periodic", "cron", "30 2 * * *", "Asia/Kolkata", "UTC") == (
        "Huey uses one time zone for all its schedules: UTC.",
        "0 21 * * *",
    )


@pytest.mark.parametrize(
    "expression", ["0,30 2 * * *", "30 2,3 * * *", "30 2 1 * *", "30 2 * 5 *", "30 2 * * mon", "bad", "* 2 * * *", "30 * * * *"]
)
def test_only_one_time_of_each_day_is_moved_to_another_zone(expression: str) -> None:
    assert refusal("rq_scheduler", "cron", expression, "Asia/Kolkata", "UTC")[1] == ""


def test_a_time_is_moved_with_the_offset_of_today() -> None:
    here = datetime.now(UTC).astimezone(ZoneInfo("America/New_York")).replace(hour=17, minute=45)
    there = here.astimezone(UTC)
    assert refusal("rq_scheduler", "cron", "45 17 * * *", "America/New_York", "UTC")[1] == f"{there.minute} {there.hour} * * *"


def test_an_expression_with_seconds_is_refused_without_them() -> None:
    assert refusal("huey_periodic", "cron", "10 5 2 * * mon", "") == ("Huey does not support seconds.", "5 2 * * mon")
