# SPDX-License-Identifier: AGPL-3.0-or-later
"""What cannot be drawn is refused where it is given."""

from __future__ import annotations

import math

import pytest

from z4j.rules.charts.model import (
    MINUTE,
    MOST_POINTS,
    MOST_VALUE,
    Bucket,
    HeatMap,
    Histogram,
    Series,
    TimeChart,
    ValueMark,
)


@pytest.mark.parametrize("value", [-1, -1e-12, math.nan, math.inf, MOST_VALUE * 2])
def test_values_that_cannot_be_drawn_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="cannot be drawn"):
        Series("x", "failed", [1, value])
    with pytest.raises(ValueError, match="cannot be drawn"):
        HeatMap("x", [0], [0], [[value]])
    with pytest.raises(ValueError, match="cannot be drawn"):
        Histogram("x", [Bucket(0, 1, 1)], marks=[ValueMark(value, "p95")])


def test_zero_and_missing_are_values() -> None:
    assert Series("x", "failed", [0, None, MOST_VALUE]).values[1] is None


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="2 values for 1 times"):
        TimeChart("x", [0], [Series("a", "failed", [1, 2])])
    with pytest.raises(ValueError, match="1 times and 2 links"):
        TimeChart("x", [0], [], links=["/a", "/b"])
    with pytest.raises(ValueError, match="1 values and 2 links"):
        Series("a", "failed", [1], links=["/a", "/b"])
    with pytest.raises(ValueError, match="shape of counts"):
        HeatMap("x", [0], [0], [[1]], [["/a", "/b"]])
    with pytest.raises(ValueError, match="one column per time"):
        HeatMap("x", [0, 1], [0], [[1]])


def test_order_and_size_are_checked() -> None:
    with pytest.raises(ValueError, match="times must ascend"):
        TimeChart("x", [1, 1], [])
    with pytest.raises(ValueError, match="points"):
        TimeChart("x", range(MOST_POINTS + 1), [])
    with pytest.raises(ValueError, match="values"):
        Series("x", "failed", [0] * (MOST_POINTS + 1))
    with pytest.raises(ValueError, match="cells"):
        HeatMap("x", range(100), range(100), [])
    with pytest.raises(ValueError, match="ascend"):
        HeatMap("x", [0], [1, 0], [[1, 1]])
    with pytest.raises(ValueError, match="ascend"):
        Histogram("x", [Bucket(2, 1, 1)])
    for after in (Bucket(0, 1, 1), Bucket(3, 4, 1)):
        with pytest.raises(ValueError, match="where the one before it ends"):
            Histogram("x", [Bucket(1, 2, 1), after])
    with pytest.raises(ValueError, match="height"):
        TimeChart("x", [], [], height=0)


def test_the_slot_is_the_shortest_distance_of_two_times() -> None:
    assert TimeChart("x", [0, 3 * MINUTE, 4 * MINUTE], []).slot == MINUTE
    assert TimeChart("x", [5], []).slot == MINUTE
    assert TimeChart("x", [0, 9], [], step=4).until == 13
    assert TimeChart("x", [], []).until == 0
