# SPDX-License-Identifier: AGPL-3.0-or-later
"""Histograms: bars of equal width, labels at their edges, and values between them. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from z4j.rules.charts.mark_labels import PlacedMark, place_labels
from z4j.rules.charts.model import Bucket, Histogram
from z4j.rules.charts.scales import WIDTH, Scale, at_least, scale
from z4j.rules.charts.time_axis import MOST


@dataclass(frozen=True, slots=True)
class Column:
    """The bar of a bucket; one without values has no height."""

    x: float
    width: float
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Edge:
    """A labeled edge of a bucket: its position, its value, and whether a narrow chart shows it."""

    x: float
    value: float
    is_major: bool


@dataclass(frozen=True, slots=True)
class HistogramDrawing:
    """The positions of a histogram; marks outside its buckets are left out."""

    scale: Scale
    columns: tuple[Column, ...]
    edges: tuple[Edge, ...]
    marks: tuple[PlacedMark, ...]


def draw_histogram(histogram: Histogram) -> HistogramDrawing:
    """Returns the positions of a histogram."""
    buckets = histogram.buckets
    axis = scale([bucket.count for bucket in buckets], "", histogram.height)
    columns = []
    for number, bucket in enumerate(buckets):
        x = _x(number, len(buckets))
        y, height = at_least(axis.y(bucket.count), histogram.height) if bucket.count else (float(histogram.height), 0.0)
        columns.append(Column(x, round(_x(number + 1, len(buckets)) - x, 1), y, height))
    places = [(place_of(mark.value, buckets), index) for index, mark in enumerate(histogram.marks)]
    placed = sorted((place, index) for place, index in places if place is not None)
    marks = place_labels((index, place, len(histogram.marks[index].label)) for place, index in placed)
    return HistogramDrawing(axis, tuple(columns), _edges(buckets), marks)


def place_of(value: float, buckets: Sequence[Bucket]) -> float | None:
    """Returns the position of a value, None outside the buckets. In a bucket it is found by the logarithm, in one from 0 by its share."""
    for number, bucket in enumerate(buckets):
        if bucket.low <= value <= bucket.high:
            if bucket.low > 0:
                share = math.log(value / bucket.low) / math.log(bucket.high / bucket.low)
            else:
                share = value / bucket.high
            return round(min(max(number + share, 0), len(buckets)) / len(buckets) * WIDTH, 1)
    return None


def _x(number: int, count: int) -> float:
    return round(number / count * WIDTH, 1)


def _edges(buckets: Sequence[Bucket]) -> tuple[Edge, ...]:
    if not buckets:
        return ()
    values = [bucket.low for bucket in buckets] + [buckets[-1].high]
    every = -(-len(values) // MOST)
    shown = range(0, len(values), every)
    is_sparse = len(shown) <= MOST // 2
    return tuple(Edge(_x(index, len(buckets)), values[index], is_sparse or number % 2 == 0) for number, index in enumerate(shown))
