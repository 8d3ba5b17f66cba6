# SPDX-License-Identifier: AGPL-3.0-or-later
"""Sparklines fit their width and show zero and missing differently."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from z4j.rules.charts.model import MOST_VALUE
from z4j.rules.charts.sparklines import HEIGHT, MOST_WIDTH, draw_sparkline


@given(some.lists(some.none() | some.floats(0, MOST_VALUE), max_size=400))
@settings(deadline=None)
def test_bars_are_whole_pixels_within_the_width(values: list[float | None]) -> None:
    drawn = draw_sparkline(values)
    assert 1 <= drawn.width <= MOST_WIDTH
    bars = re.findall(r"M(\d+) 24v-(\d+)h(\d)v(\d+)z", drawn.path)
    assert "".join("M{} 24v-{}h{}v{}z".format(*bar) for bar in bars) == drawn.path
    for x, height, width, down in bars:
        assert int(x) + int(width) <= drawn.width
        assert 1 <= int(height) <= HEIGHT
        assert height == down


def test_zero_is_one_pixel_and_missing_is_nothing() -> None:
    assert draw_sparkline([4, 0, None, 2]).path == "M0 24v-24h3v24zM4 24v-1h3v1zM12 24v-12h3v12z"
    assert draw_sparkline([]).path == ""
    assert draw_sparkline([0]).path == "M0 24v-1h3v1z"


def test_many_values_are_averaged() -> None:
    drawn = draw_sparkline([10.0] * 60 + [20.0] * 36)
    assert drawn.path.count("M") == 48
    assert drawn.path.startswith("M0 24v-12h1v12z")


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be drawn"):
        draw_sparkline([-1])


@pytest.mark.parametrize(
    ("count", "bars", "bar", "space"),
    [
        (1, 1, 3, 1),
        (24, 24, 3, 1),
        (25, 25, 2, 1),
        (32, 32, 2, 1),
        (33, 33, 1, 1),
        (48, 48, 1, 1),
        (49, 25, 2, 1),
        (96, 48, 1, 1),
        (97, 33, 1, 1),
    ],
)
def test_bars_become_narrower_and_then_fewer(count: int, bars: int, bar: int, space: int) -> None:
    drawn = draw_sparkline([1.0] * count)
    assert drawn.path == "".join(f"M{number * (bar + space)} 24v-24h{bar}v24z" for number in range(bars))
    assert (drawn.width, drawn.height) == (bars * (bar + space) - space, 24)


def test_an_average_leaves_out_what_is_missing() -> None:
    values = [2.0, 4.0, None, 12.0, None, None] + [6.0] * 44
    heights = re.findall(r"M(\d+) 24v-(\d+)", draw_sparkline(values).path)
    assert heights[:3] == [("0", "6"), ("3", "24"), ("9", "12")]
    assert MOST_WIDTH == 96
    assert draw_sparkline([0.0, 0.5]).path == "M0 24v-1h3v1zM4 24v-24h3v24z"
    assert draw_sparkline([None]).width == 3
    assert draw_sparkline([]).width == 1
