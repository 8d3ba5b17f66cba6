# SPDX-License-Identifier: AGPL-3.0-or-later
"""Sparklines fit their width and show zero and missing differently."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as some

from z4j.rules.charts.model import MOST_VALUE
from z4j.rules.charts.sparklines import HEIGHT, MOST_WIDTH, draw_sparkline


@given(some.lists(some.none() | some.floats(0, MOST_VALUE), max_size=400))
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
