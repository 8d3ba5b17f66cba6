# SPDX-License-Identifier: AGPL-3.0-or-later
"""Value axes have round steps and hold every value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from z4j.rules.charts.model import BYTES, DURATION, MOST_VALUE
from z4j.rules.charts.scales import scale

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
def test_every_value_is_on_the_axis(values: list[float | None], unit: str, height: int) -> None:
    axis = scale(values, unit, height)
    assert 2 <= len(axis.ticks) <= 5
    assert axis.ticks[0] == 0
    assert axis.ticks[-1] == axis.top
    for value in values:
        if value is not None and value >= 1e-9:
            assert value <= axis.top * (1 + 1e-9)
            assert axis.top <= value * 6 or value != max(v for v in values if v is not None), "the plot is used"
            assert 0 <= axis.y(value) <= height
