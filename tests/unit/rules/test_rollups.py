# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a task adds to the sums per minute, hour and day, and how close percentiles from buckets are."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z4j.rules.rollups import (
    COLUMNS,
    DAY,
    DAY_US,
    ENDS,
    HOUR,
    HOUR_US,
    MINUTE,
    MINUTE_US,
    WAITS,
    bounds,
    bucket_of,
    count_end,
    count_enqueue,
    count_start,
    percentile,
    step_for,
    times,
    waited_us,
)  # fmt: skip
from z4j.rules.tasks.states import STATES


def added(count: Callable[[list[int]], int | None]) -> tuple[dict[str, int], int | None]:
    """The sums that are not 0 afterwards, by name, and the bucket."""
    sums = [0] * len(COLUMNS)
    bucket = count(sums)
    return {name: value for name, value in zip(COLUMNS, sums, strict=True) if value}, bucket


def test_what_a_task_adds() -> None:
    assert added(lambda sums: count_enqueue(sums, 1)) == ({"enqueued": 1}, None)
    assert added(lambda sums: count_start(sums, 1, 0, None)) == ({"started": 1}, -1)
    second = {"started": 1, "retried": 1, "waited": 1, "waited_us": 5_000}
    assert added(lambda sums: count_start(sums, 1, 1, 5_000)) == (second, WAITS + bucket_of(5_000))
    for state in ENDS:
        assert added(lambda sums, state=state: count_end(sums, 1, STATES[state], None)) == ({state: 1}, -1)  # type: ignore[misc]
    assert added(lambda sums: count_end(sums, 1, STATES["failed"], 7)) == ({"failed": 1, "ran": 1, "ran_us": 7}, bucket_of(7))


def test_what_is_taken_out_is_what_was_added() -> None:
    def both(sums: list[int]) -> int:
        for sign in (1, -1):
            count_enqueue(sums, sign)
            count_start(sums, sign, 2, 70)
            count_end(sums, sign, STATES["lost"], 3)
        return -1

    assert added(both) == ({}, -1)


@pytest.mark.parametrize(
    ("given", "wait"),
    [
        ((0, 100, None, None, 150), 50),
        ((0, 100, 140, None, 150), 10),
        ((0, 100, None, 120, 150), 50),
        ((0, None, None, 120, 150), 30),
        ((0, None, None, None, 150), None),
        ((0, 100, None, None, None), None),
        ((1, 100, 140, None, 150), 10),
        ((1, 100, None, 145, 150), 5),
        ((1, 100, None, None, 150), None),
        ((0, 160, None, None, 150), 0),  # two clocks
    ],
)
def test_how_long_an_attempt_waited(given: tuple[int, int | None, int | None, int | None, int | None], wait: int | None) -> None:
    assert waited_us(*given) == wait


@given(st.integers(1, (1 << 53) - 1))
@settings(deadline=None)
def test_a_duration_lies_within_the_bounds_of_its_bucket(us: int) -> None:
    bucket = bucket_of(us)
    low, high = bounds(bucket)
    assert 0 <= bucket < WAITS
    assert low <= us < high or (math.isclose(low, us) or math.isclose(high, us))
    assert 1 << bucket <= us**4 < 1 << (bucket + 1)


@given(st.lists(st.integers(1, 1 << 40), min_size=1), st.floats(0, 1))
@settings(deadline=None)
def test_a_percentile_is_within_ten_percent_of_the_true_value(durations: list[int], share: float) -> None:
    estimate = percentile(Counter(map(bucket_of, durations)), share)
    true = sorted(durations)[max(math.ceil(share * len(durations)), 1) - 1]
    assert estimate == pytest.approx(true, rel=0.0910)


def test_buckets_below_zero_count_as_nothing() -> None:
    assert percentile({}, 0.5) is None
    assert percentile({3: 0, 4: -2}, 0.5) is None
    assert percentile({3: -1, 20: 4}, 0.0) == pytest.approx(math.sqrt(math.prod(bounds(20))))


def test_the_finest_step_that_is_kept_and_not_too_many() -> None:
    now = 1_800_000_000_000_000
    assert step_for(now - 90 * MINUTE_US, now, now) == MINUTE
    assert step_for(now - DAY_US, now, now) == HOUR
    assert step_for(now - DAY_US, now, now, points=1_440) == MINUTE
    assert step_for(now - 7 * DAY_US, now - 7 * DAY_US + HOUR_US, now) == HOUR  # minutes are gone
    assert step_for(now - 90 * DAY_US, now, now) == DAY
    assert step_for(now - 200 * DAY_US, now - 199 * DAY_US, now) == DAY
    assert times(HOUR, HOUR_US + 5, 3 * HOUR_US) == [HOUR_US, 2 * HOUR_US]
    assert times(HOUR, HOUR_US, HOUR_US) == []
    assert times(DAY, DAY_US - 1, DAY_US + 1) == [0, DAY_US]
