# SPDX-License-Identifier: AGPL-3.0-or-later
"""When a backup is due, and which ones are kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from z4j.rules.backups import DAY_US, OLD_US, RETRY_US, expendable, is_due

THREE = 3 * 3_600_000_000


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


SINCE = us("2026-11-01 12:00")


@pytest.mark.parametrize(
    ("at", "last", "is_expected"),
    [
        ("2026-11-02 02:59", None, False),
        ("2026-11-02 03:00", None, True),
        ("2026-11-02 23:00", None, True),
        ("2026-11-02 12:00", "2026-11-02 03:00", False),
        ("2026-11-03 02:59", "2026-11-02 03:00", False),
        ("2026-11-03 03:00", "2026-11-02 03:00", True),
        ("2026-11-09 01:00", "2026-11-02 03:00", True),
        ("2026-11-09 02:00", "2026-11-09 01:00", False),
        ("2026-11-09 03:00", "2026-11-09 01:00", True),
    ],
)
def test_a_backup_is_due_once_a_day_and_caught_up(at: str, last: str | None, is_expected: bool) -> None:
    assert is_due(us(at), THREE, SINCE, us(last) if last else None, None) == is_expected


def test_a_failure_is_tried_again_after_an_hour_and_a_backup_is_old_after_two_days() -> None:
    assert (RETRY_US, OLD_US) == (3_600_000_000, 172_800_000_000)


def test_a_backup_or_a_beginning_at_the_time_of_day_counts() -> None:
    at = us("2026-11-02 03:00")
    assert not is_due(at, THREE, SINCE, at, None)
    assert not is_due(at, THREE, at, None, None)


def test_a_clock_that_was_set_back_prevents_no_backup() -> None:
    at, later = us("2026-11-02 03:00"), us("2027-11-02 03:00")
    assert is_due(at, THREE, SINCE, later, None)
    assert is_due(at, THREE, later, None, None)
    assert is_due(at, THREE, SINCE, None, later)


def test_it_is_not_due_before_the_first_time_of_day() -> None:
    assert not is_due(SINCE, THREE, SINCE, None, None)
    assert not is_due(us("2026-11-01 23:59"), THREE, SINCE, None, None)


def test_a_failed_one_is_tried_again_after_an_hour_and_a_clock_that_went_back_does_not_stop_it() -> None:
    at = us("2026-11-02 03:10")
    assert not is_due(at, THREE, SINCE, None, at)
    assert not is_due(at + RETRY_US - 1, THREE, SINCE, None, at)
    assert is_due(at + RETRY_US, THREE, SINCE, None, at)
    assert is_due(at, THREE, SINCE, None, at + DAY_US)


def nights(amount: int) -> list[int]:
    first = datetime(2026, 10, 1, 3, tzinfo=UTC)
    return [int((first + timedelta(days=day)).timestamp()) * 1_000_000 for day in range(amount)]


def kept(made: list[int], daily: int, weekly: int) -> list[str]:
    return [f"{datetime.fromtimestamp(at / 1e6, UTC):%m-%d}" for at in sorted(set(made) - expendable(made, daily, weekly), reverse=True)]


def test_the_last_of_each_day_and_of_each_week_is_kept() -> None:
    made = nights(60)  # up to Sunday, 29 November
    assert kept(made, 7, 4) == ["11-29", "11-28", "11-27", "11-26", "11-25", "11-24", "11-23", "11-22", "11-15", "11-08"]
    assert kept(made, 2, 0) == ["11-29", "11-28"]
    assert kept(made, 0, 2) == ["11-29", "11-22"]
    assert kept(made[:3], 7, 4) == ["10-03", "10-02", "10-01"]


def test_only_the_newest_of_a_day_counts_and_a_pause_displaces_nothing() -> None:
    made = [*nights(3), nights(3)[-1] + 60_000_000, nights(40)[-1]]
    assert expendable(made, 3, 0) == {nights(1)[0], nights(3)[-1]}
    assert expendable(made, 0, 0) == set(made) - {max(made)}
    assert expendable([], 7, 4) == set()
