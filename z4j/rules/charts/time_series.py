# SPDX-License-Identifier: AGPL-3.0-or-later
"""Lines and stacked bars over time: paths, slots, gaps and marks. Pure.

Horizontal positions run from 0 to `scales.WIDTH`, vertical ones are pixels from the top of the plot.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from z4j.rules.charts.mark_labels import PlacedMark, place_labels
from z4j.rules.charts.model import Series, TimeChart
from z4j.rules.charts.scales import Scale, at_least, scale
from z4j.rules.charts.time_axis import Tick, position, ticks


class Band(NamedTuple):
    """A part of the time axis."""

    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Line:
    """`path` is the data of an SVG path with one run of points per unbroken part, `dots` that of points without a neighbor."""

    path: str
    dots: str


class Bar(NamedTuple):
    """One layer of one slot: the indexes of its series and slot, its top and its height."""

    series: int
    slot: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Frame:
    """What lines and bars have in common. `gaps` are the parts of the axis without any value."""

    scale: Scale
    slots: tuple[Band, ...]
    gaps: tuple[Band, ...]
    ticks: tuple[Tick, ...]
    marks: tuple[PlacedMark, ...]
    label_rows: int


@dataclass(frozen=True, slots=True)
class LineDrawing:
    """One line per series."""

    frame: Frame
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class BarDrawing:
    """The bars of all slots. A slot with values that are all zero has one bar without height at the bottom."""

    frame: Frame
    bars: tuple[Bar, ...]


def draw_lines(chart: TimeChart) -> LineDrawing:
    """Returns the positions of a line chart. A missing value interrupts its line."""
    frame = _frame(chart, [value for series in chart.series for value in series.values])
    middles = [f"{round(x + width / 2, 1):g}" for x, width in frame.slots]
    return LineDrawing(frame, tuple(_line(chart, series, middles, frame.scale) for series in chart.series))


def draw_bars(chart: TimeChart) -> BarDrawing:
    """Returns the positions of stacked bars; the first series is at the bottom. A missing value adds nothing."""
    totals = [total(chart.series, slot) for slot in range(len(chart.times))]
    frame = _frame(chart, totals)
    bars = []
    layers = list(zip(*(series.values for series in chart.series), strict=True))
    for slot, known in enumerate(totals):
        if not known:
            if known == 0:
                bars.append(Bar(-1, slot, float(chart.height), 0.0))
            continue
        bottom, low = 0.0, float(chart.height)
        for index, value in enumerate(layers[slot]):
            if value:
                bottom += value
                high = frame.scale.y(bottom)
                bars.append(Bar(index, slot, *at_least(high, low)))
                low = high
    return BarDrawing(frame, tuple(bars))


def total(series: Sequence[Series], slot: int) -> float | None:
    """Returns the sum of a slot, or None where no series has a value."""
    known = [value for one in series if (value := one.values[slot]) is not None]
    return sum(known) if known else None


def _frame(chart: TimeChart, values: Sequence[float | None]) -> Frame:
    slots = _bands(tuple(chart.times), chart.since, chart.until, chart.slot)
    marks = _place_marks(chart)
    return Frame(
        scale=scale(values, chart.unit, chart.height),
        slots=slots,
        gaps=_gaps(chart),
        ticks=ticks(chart.since, chart.until, chart.zone),
        marks=marks,
        label_rows=max((mark.row + 1 for mark in marks), default=0),
    )


@lru_cache(32)
def _bands(times: tuple[int, ...], since: int, until: int, slot: int) -> tuple[Band, ...]:
    """The slots of an axis, the same for each chart of a page."""
    return tuple(_band(at, at + slot, since, until) for at in times)


def _band(start: int, end: int, since: int, until: int) -> Band:
    x = position(start, since, until)
    return Band(x, round(position(end, since, until) - x, 1))


def _gaps(chart: TimeChart) -> tuple[Band, ...]:
    count = len(chart.series)
    known = [
        at for at, values in zip(chart.times, zip(*(one.values for one in chart.series), strict=True), strict=True)
        if values.count(None) < count
    ] if count else []  # fmt: skip
    if not known:
        return ()
    found = []
    since, until, slot = chart.since, chart.until, chart.slot
    furthest, end = _furthest(slot), since
    for at in (*known, until):
        if at - end + slot > furthest:
            found.append(_band(end, at, since, until))
        end = at + slot
    return tuple(found)


def _line(chart: TimeChart, series: Series, middles: Sequence[str], axis: Scale) -> Line:
    """The points of a series, in runs of neighbors that all have values. `middles` are those of the slots."""
    runs: list[list[str]] = []
    furthest, before = _furthest(chart.slot), -math.inf
    heights = iter(axis.ys([value for value in series.values if value is not None]))
    for at, x, value in zip(chart.times, middles, series.values, strict=True):
        if value is None:
            before = -math.inf
            continue
        if at - before > furthest:
            runs.append(run := [])
        run.append(f"{x} {next(heights):g}")
        before = at
    path = [f"M{' '.join(run)}" for run in runs if len(run) > 1]
    dots = [f"M{run[0]}h0" for run in runs if len(run) == 1]
    return Line("".join(path), "".join(dots))


def _furthest(slot: int) -> int:
    """How far apart two neighbors begin at most. A local day has 23 to 25 hours, so half a slot more is no gap."""
    return slot * 3 // 2


def _place_marks(chart: TimeChart) -> tuple[PlacedMark, ...]:
    within = [(mark.at, index) for index, mark in enumerate(chart.marks) if chart.since <= mark.at <= chart.until and chart.times]
    return place_labels([(index, position(at, chart.since, chart.until), len(chart.marks[index].label)) for at, index in sorted(within)])
