# SPDX-License-Identifier: AGPL-3.0-or-later
"""Histograms: equal bars within the plot, values at their place between the edges."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from z4j.rules.charts.histograms import draw_histogram, place_of
from z4j.rules.charts.model import MOST_VALUE, Bucket, Histogram, ValueMark
from z4j.rules.charts.scales import LEAST
from z4j.rules.charts.time_axis import MOST


def buckets(counts: list[int]) -> list[Bucket]:
    return [Bucket(2**i, 2 ** (i + 1), count) for i, count in enumerate(counts)]


@given(some.lists(some.integers(0, MOST_VALUE), max_size=60), some.lists(some.floats(0, MOST_VALUE), max_size=4))
@settings(deadline=None)
def test_nothing_is_outside_the_plot(counts: list[int], values: list[float]) -> None:
    drawing = draw_histogram(Histogram("x", buckets(counts), marks=[ValueMark(value, "p") for value in values]))
    assert len(drawing.columns) == len(counts)
    for column, count in zip(drawing.columns, counts, strict=True):
        assert column.x >= 0
        assert column.x + column.width <= 1_000.1
        assert column.y >= 0
        assert column.y + column.height <= 120.1
        assert (column.height >= LEAST) is bool(count)
    assert len(drawing.edges) <= MOST + 1
    assert sum(edge.is_major for edge in drawing.edges) <= MOST // 2 + 1
    assert all(0 <= mark.x <= 1_000 for mark in drawing.marks)


def test_a_value_lies_between_the_edges_of_its_bucket() -> None:
    four = buckets([1, 1, 1, 1])
    assert place_of(1, four) == 0
    assert place_of(4, four) == 500
    assert place_of(4 * 2**0.5, four) == pytest.approx(625, abs=0.1), "in the middle of a bucket by the logarithm"
    assert place_of(16, four) == 1_000
    assert place_of(17, four) is None
    assert place_of(0.5, four) is None
    assert place_of(5, [Bucket(0, 10, 1)]) == 500


def test_edges_are_labeled_evenly() -> None:
    edges = draw_histogram(Histogram("x", buckets([1] * 24))).edges
    assert [edge.value for edge in edges] == [2 ** (4 * i) for i in range(7)]
    assert [edge.is_major for edge in edges] == [True, False, True, False, True, False, True]
    assert draw_histogram(Histogram("x", [])).edges == ()


def test_a_drawing_to_compare_with() -> None:
    drawing = draw_histogram(Histogram("x", buckets([10, 0, 40]), marks=[ValueMark(3, "p50"), ValueMark(99, "p99")], height=80))
    assert drawing.scale.ticks == (0, 10, 20, 30, 40)
    assert [(column.x, column.width, column.y, column.height) for column in drawing.columns] == [
        (0.0, 333.3, 60.0, 20.0), (333.3, 333.4, 80.0, 0.0), (666.7, 333.3, 0.0, 80.0),
    ]  # fmt: skip
    assert [(edge.x, edge.value, edge.is_major) for edge in drawing.edges] == [
        (0.0, 1, True), (333.3, 2, True), (666.7, 4, True), (1_000.0, 8, True),
    ]  # fmt: skip
    assert [(mark.index, mark.x) for mark in drawing.marks] == [(0, 528.3)]
    assert [edge.is_major for edge in draw_histogram(Histogram("x", buckets([1] * 4))).edges] == [True, False, True, False, True]
    assert draw_histogram(Histogram("x", [])).columns == ()
    assert draw_histogram(Histogram("x", buckets([1]))).columns[0].width == 1_000
