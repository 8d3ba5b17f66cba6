# SPDX-License-Identifier: AGPL-3.0-or-later
"""Value axes have round steps and hold every value."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from z4j.rules.charts.model import BYTES, DURATION, MOST_VALUE
from z4j.rules.charts.scales import WIDTH, at_least, scale

SECOND = 1_000_000


@pytest.mark.parametrize(
    ("greatest", "unit", "ticks"),
    [
        (0, "", (0, 1)),
        (1, "", (0, 1)),
        (3, "", (0, 1, 2, 3)),
        (5, "", (0, 2, 4, 6)),
        (6_600, "", (0, 2_000, 4_000, 6_000, 8_000)),
        (1_000_000, "", (0, 500_000, 1_000_000)),
        (0.31, "", (0, 0.1, 0.2, 0.3, 0.4)),
        (0, DURATION, (0, SECOND)),
        (48 * SECOND, DURATION, (0, 15 * SECOND, 30 * SECOND, 45 * SECOND, 60 * SECOND)),
        (400 * SECOND, DURATION, (0, 120 * SECOND, 240 * SECOND, 360 * SECOND, 480 * SECOND)),
        (3 * 86_400 * SECOND, DURATION, (0, 86_400 * SECOND, 2 * 86_400 * SECOND, 3 * 86_400 * SECOND)),
        (3, DURATION, (0, 1, 2, 3)),
    ],
)
def test_ticks_are_round(greatest: float, unit: str, ticks: tuple[float, ...]) -> None:
    assert scale([0, greatest, None], unit, 100).ticks == pytest.approx(ticks)


def test_positions_run_from_the_bottom_to_the_top() -> None:
    axis = scale([50], "", 140)
    assert axis.y(0) == 140
    assert axis.y(axis.top) == 0
    assert axis.y(axis.top * 2) == 0, "a value that rounding lifts above the axis is drawn at its top"


@given(some.lists(some.floats(0, MOST_VALUE) | some.none()), some.sampled_from(["", BYTES, DURATION, "%"]), some.integers(20, 1_000))
@settings(deadline=None)
def test_every_value_is_on_the_axis(values: list[float | None], unit: str, height: int) -> None:
    axis = scale(values, unit, height)
    assert 2 <= len(axis.ticks) <= 5
    assert axis.ticks[0] == 0
    assert axis.ticks[-1] == axis.top
    for value in values:
        if value is not None and value >= 1e-9:
            assert value <= axis.top * (1 + 1e-9)
            assert axis.top <= max(value * 6, 1) or value != max(v for v in values if v is not None), "the plot is used"
            assert 0 <= axis.y(value) <= height


HOUR = 3_600 * SECOND
DAY = 24 * HOUR
STEPS = (
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000,
    SECOND, 2 * SECOND, 5 * SECOND, 10 * SECOND, 15 * SECOND, 30 * SECOND,
    60 * SECOND, 120 * SECOND, 300 * SECOND, 600 * SECOND, 900 * SECOND, 1_800 * SECOND,
    HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 5 * DAY, 10 * DAY, 20 * DAY,
)  # fmt: skip


@pytest.mark.parametrize("step", STEPS)
def test_a_duration_has_the_smallest_step_that_is_enough(step: int) -> None:
    assert scale([4 * step], DURATION, 100).ticks == (0, step, 2 * step, 3 * step, 4 * step)
    larger = next((other for other in STEPS if other > step), 50 * DAY)
    assert scale([4 * step + max(step // 8, 1)], DURATION, 100).ticks[1] == larger


@pytest.mark.parametrize("step", [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 1e6, 2e6, 5e6])
def test_a_number_has_the_smallest_step_of_one_two_and_five(step: float) -> None:
    value = 4 * step - step / 8
    assert scale([value], "", 100).ticks[1] == pytest.approx(step)
    assert scale([4 * step], BYTES, 100).ticks[1] == pytest.approx(max(step, 1)), "bytes are whole"


def test_positions_have_one_decimal() -> None:
    axis = scale([90], "", 140)
    assert axis.top == 100
    assert [axis.y(value) for value in (0, 1, 33, 50, 99.9, 100)] == [140.0, 138.6, 93.8, 70.0, 0.1, 0.0]
    assert scale([None, 1e-10], "", 9).ticks == (0, 1)
    assert scale([], DURATION, 9).ticks == (0, 1_000_000)
    assert scale([1e-9], "", 9).top == pytest.approx(1e-9)


def test_a_bar_is_at_least_a_pixel_high_and_within_the_plot() -> None:
    assert at_least(20.04, 60.0) == (20.0, 40.0)
    assert at_least(139.9, 140.0) == (139.0, 1.0)
    assert at_least(70.0, 70.0) == (69.0, 1.0)
    assert at_least(0.0, 0.2) == (0.0, 1.0)
    assert at_least(10.0, 12.34) == (10.0, 2.3)
    assert WIDTH == 1_000
