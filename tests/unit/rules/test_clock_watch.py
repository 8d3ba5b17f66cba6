# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import pytest

from tests.support.database import SECOND, T
from z4j.rules.backups import DAY_US
from z4j.rules.clock_watch import FOLLOWED_US, STEP_US, WAIT_US, Step, TrustedTime, step_of, trust


@pytest.mark.parametrize(
    ("by_us", "is_step"), [(0, False), (STEP_US - 1, False), (STEP_US, True), (1 - STEP_US, False), (-STEP_US, True), (400 * DAY_US, True)]
)
def test_a_step_is_what_the_clock_that_is_never_set_did_not_see(by_us: int, is_step: bool) -> None:
    wall = T + 7 * SECOND + by_us
    assert step_of(wall, 107, T, 107 - 7 * SECOND) == (Step(wall, by_us) if is_step else None)


def test_two_seconds_are_a_step_a_day_is_followed_and_three_days_are_waited_for() -> None:
    assert (STEP_US, FOLLOWED_US, WAIT_US) == (2_000_000, 86_400_000_000, 259_200_000_000)


def test_the_first_reading_is_trusted() -> None:
    assert trust(None, T, 0) == TrustedTime(T)


@pytest.mark.parametrize("wall", [T, T + SECOND, T + SECOND + FOLLOWED_US, T - SECOND, T - 400 * DAY_US])
def test_a_day_forward_and_any_time_back_are_followed(wall: int) -> None:
    assert trust(TrustedTime(T, 5), wall, SECOND) == TrustedTime(wall)


def test_more_is_followed_after_three_days_of_running_time() -> None:
    wall, hour = T + 365 * DAY_US, 3_600 * SECOND
    known = trust(TrustedTime(T), wall, 0)
    assert known == TrustedTime(T, 0)
    for number in range(1, 72):
        known = trust(known, wall + number * hour, hour)
        assert known == TrustedTime(T + number * hour, number * hour), "it goes on at the pace of the running time"
    assert trust(known, wall + WAIT_US, hour) == TrustedTime(wall + WAIT_US)
    assert trust(known, T + 72 * hour, hour) == TrustedTime(T + 72 * hour), "a clock that was corrected is followed at once"


def test_the_wait_goes_on_where_a_restart_ended_it() -> None:
    wall = T + 30 * DAY_US
    assert trust(TrustedTime(T, WAIT_US - SECOND), wall, 0) == TrustedTime(T, WAIT_US - SECOND)
    assert trust(TrustedTime(T, WAIT_US - SECOND), wall, SECOND) == TrustedTime(wall)
