# SPDX-License-Identifier: AGPL-3.0-or-later
"""Quiet hours in a time zone, over midnight and changes of the clock, and maintenance."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from z4j.exceptions import BadInput
from z4j.rules.alerts.quiet_hours import DAYS, Maintenance, Weekly, check_weekly, maintained_until, quiet_until
from z4j.rules.findings.finding import Scope

EVERY_DAY = tuple(range(7))
NIGHT = Weekly(EVERY_DAY, 22 * 60, 6 * 60, "Europe/Berlin")
WEEKEND = Weekly((5, 6), 0, 0, "Europe/Berlin")


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-11-30 20:59:59", None),
        ("2026-11-30 21:00", "2026-12-01 05:00"),
        ("2026-12-01 02:00", "2026-12-01 05:00"),
        ("2026-12-01 05:00", None),
        ("2026-07-01 20:00", "2026-07-02 04:00"),  # summer time
        ("2026-03-29 00:30", "2026-03-29 04:00"),  # the night in which the clock is set forward
        ("2026-10-25 00:30", "2026-10-25 05:00"),  # and back
    ],
)
def test_a_night_is_over_midnight_by_the_clock_of_its_zone(at: str, until: str | None) -> None:
    assert quiet_until(utc(at), [NIGHT]) == (None if until is None else utc(until))


def test_hours_that_follow_without_a_gap_are_one() -> None:
    # Friday night 2026-12-04, then the weekend, then the night to Monday
    assert quiet_until(utc("2026-12-04 23:00"), [NIGHT, WEEKEND]) == utc("2026-12-07 05:00")
    assert quiet_until(utc("2026-12-05 12:00"), [WEEKEND]) == utc("2026-12-06 23:00")
    assert quiet_until(utc("2026-12-04 12:00"), [NIGHT, WEEKEND]) is None
    assert quiet_until(0, []) is None


def test_hours_that_never_end_are_left_at_some_point() -> None:
    always = Weekly(EVERY_DAY, 0, 0)
    assert quiet_until(utc("2026-12-04 12:00"), [always]) == utc("2026-12-24 00:00")


@pytest.mark.parametrize(
    "weekly",
    [Weekly((), 0, 60), Weekly((7,), 0, 60), Weekly((0,), -1, 60), Weekly((0,), 0, 1440),
     Weekly((0,), 0, 60, "Mars/Base"), Weekly((0,), 0, 60, "../etc"), Weekly((0,), 0, 60, "")],
)  # fmt: skip
def test_hours_that_make_no_sense_are_refused(weekly: Weekly) -> None:
    with pytest.raises(BadInput):
        check_weekly(weekly)
    check_weekly(NIGHT)


@pytest.mark.parametrize(
    ("weekly", "message", "hint"),
    [
        (Weekly((0, 7), 0, 60), "Quiet hours need at least one day of the week. No changes were made.", ""),
        (Weekly((0,), 0, 1440), "Quiet hours must begin and end at a time of day, such as 22:00. No changes were made.", ""),
        (Weekly((0,), 0, 60, "x" * 41), f"Unknown time zone “{'x' * 40}”. No changes were made.", "Use a name such as Europe/Berlin."),
    ],
)  # fmt: skip
def test_a_refusal_names_the_remedy(weekly: Weekly, message: str, hint: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_weekly(weekly)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_of_windows_that_overlap_the_last_end_counts() -> None:
    noon, lunch = Weekly(EVERY_DAY, 12 * 60, 13 * 60), Weekly(EVERY_DAY, 12 * 60, 12 * 60 + 30)
    assert (
        quiet_until(utc("2026-12-04 12:00"), [noon, lunch])
        == quiet_until(utc("2026-12-04 12:00"), [lunch, noon])
        == utc("2026-12-04 13:00")
    )


def test_days_are_named_from_monday_and_other_fields_are_refused() -> None:
    assert DAYS == ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"days": [0], "begin": 0, "end": 60, "until": 7}, Weekly)


def test_maintenance_is_of_its_scope_and_ends() -> None:
    windows = [Maintenance(Scope("shop"), 10, 20), Maintenance(Scope("shop", "production"), 15, 30), Maintenance(Scope("blog"), 0, 99)]
    production, staging = Scope("shop", "production"), Scope("shop", "staging")
    assert [maintained_until(at, production, windows) for at in (9, 10, 15, 19, 20, 29, 30)] == [None, 20, 30, 30, 30, 30, None]
    assert [maintained_until(at, staging, windows) for at in (15, 20)] == [20, None]
