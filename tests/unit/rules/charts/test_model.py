# SPDX-License-Identifier: AGPL-3.0-or-later
"""What cannot be drawn is refused where it is given."""

from __future__ import annotations

import math

import pytest

from z4j.rules.charts.model import (
    BYTES,
    DURATION,
    MINUTE,
    MOST_CELLS,
    MOST_POINTS,
    MOST_VALUE,
    Bucket,
    HeatMap,
    Histogram,
    Mark,
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


def test_limits_are_exact() -> None:
    assert (MINUTE, MOST_POINTS, MOST_CELLS, MOST_VALUE) == (60_000_000, 1_500, 4_000, 2**63)
    assert (DURATION, BYTES) == ("us", "bytes")
    Series("x", "failed", [MOST_VALUE] * MOST_POINTS)
    TimeChart("x", range(MOST_POINTS), [], height=20)
    TimeChart("x", [], [], height=1_000)
    for wrong in (19, 1_001):
        with pytest.raises(ValueError, match=f"step 0, height {wrong}"):
            TimeChart("x", [], [], height=wrong)
    with pytest.raises(ValueError, match="step -1"):
        TimeChart("x", [], [], step=-1)
    HeatMap("x", range(100), range(40), [[0] * 40] * 100)
    with pytest.raises(ValueError, match="101 by 40 cells, at most 4000"):
        HeatMap("x", range(101), range(40), [[0] * 40] * 101)


def test_what_is_not_given_has_a_usual_value() -> None:
    assert (Series("x", "failed", []).href, Series("x", "failed", []).links) == ("", ())
    assert (Mark(1, "x").href, Mark(1, "x").kind, Bucket(0, 1, 1).href) == ("", "release", "")
    chart = TimeChart("x", [7, 9], [])
    assert (chart.unit, chart.zone, chart.height, chart.since, chart.until) == ("", "", 140, 7, 11)
    assert TimeChart("x", [7, 9, 12], []).until == 14
    assert TimeChart("x", [], []).since == 0
    histogram = Histogram("x", [])
    assert (histogram.unit, histogram.state, histogram.noun, histogram.height) == (DURATION, "running", "tasks", 120)
    heat = HeatMap("x", [], [], [])
    assert (heat.unit, heat.state, heat.noun, heat.step, heat.zone) == (DURATION, "running", "tasks", 0, "")


def test_fitting_links_and_buckets_are_accepted() -> None:
    series = Series("a", "failed", [1], links=["/a"])
    TimeChart("x", [0], [series], links=["/a"])
    HeatMap("x", [0], [0, 1], [[1, 2]], [["/a", "/b"]])
    Histogram("x", [Bucket(0, 1, 1), Bucket(1, 2, 0), Bucket(2, 3, 5)])
    with pytest.raises(ValueError, match="series 'a' has 1 values for 2 times"):
        TimeChart("x", [0, 1], [series])
    with pytest.raises(ValueError, match="series 'b' has 1 values and 2 links"):
        Series("b", "failed", [1], links=["/a", "/b"])
    for buckets in ([Bucket(0, 1, -1)], [Bucket(-1, 1, 1)]):
        with pytest.raises(ValueError, match="-1 cannot be drawn"):
            Histogram("x", buckets)
    for buckets in ([Bucket(1, 1, 1)], [Bucket(0, 1, 1), Bucket(1, 1, 1)]):
        with pytest.raises(ValueError, match="buckets must ascend"):
            Histogram("x", buckets)
    with pytest.raises(ValueError, match="where the one before it ends"):
        Histogram("x", [Bucket(0, 1, 1), Bucket(1, 2, 1), Bucket(3, 4, 1)])
    with pytest.raises(ValueError, match="one value per row"):
        HeatMap("x", [0, 1], [0], [[1], [1, 2]])
    with pytest.raises(ValueError, match="must ascend"):
        HeatMap("x", [0, 0], [0], [[1], [1]])
    with pytest.raises(ValueError, match="-1 cannot be drawn"):
        HeatMap("x", [0], [-1], [[1]])
