# SPDX-License-Identifier: AGPL-3.0-or-later
"""Lines and stacked bars over time: paths, slots, gaps and marks. Pure.

Horizontal positions run from 0 to `scales.WIDTH`, vertical ones are pixels from the top of the plot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from z4j.rules.charts.mark_labels import PlacedMark, place_labels
from z4j.rules.charts.model import Series, TimeChart
from z4j.rules.charts.scales import Scale, at_least, scale
from z4j.rules.charts.time_axis import Tick, position, ticks


@dataclass(frozen=True, slots=True)
class Band:
    """A part of the time axis."""

    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Line:
    """`path` is the data of an SVG path with one run of points per unbroken part, `dots` that of points without a neighbor."""

    path: str
    dots: str


@dataclass(frozen=True, slots=True)
class Bar:
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
    middles = [round(slot.x + slot.width / 2, 1) for slot in frame.slots]
    return LineDrawing(frame, tuple(_line(chart, series, middles, frame.scale) for series in chart.series))


def draw_bars(chart: TimeChart) -> BarDrawing:
    """Returns the positions of stacked bars; the first series is at the bottom. A missing value adds nothing."""
    totals = [total(chart.series, slot) for slot in range(len(chart.times))]
    frame = _frame(chart, totals)
    bars = []
    for slot, known in enumerate(totals):
        bottom = 0.0
        for index, series in enumerate(chart.series):
            value = series.values[slot]
            if value:
                low, high = frame.scale.y(bottom), frame.scale.y(bottom + value)
                bars.append(Bar(index, slot, *at_least(high, low)))
                bottom += value
        if known == 0:
            bars.append(Bar(-1, slot, float(chart.height), 0.0))
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
    known = [at for at, *values in zip(chart.times, *(one.values for one in chart.series), strict=True) if values.count(None) < len(values)]
    if not known:
        return ()
    found = []
    since, until, slot = chart.since, chart.until, chart.slot
    end = since
    for at in (*known, until):
        if not _adjoins(slot, at - end + slot):
            found.append(_band(end, at, since, until))
        end = at + slot
    return tuple(found)


def _line(chart: TimeChart, series: Series, middles: Sequence[float], axis: Scale) -> Line:
    """The points of a series, in runs of neighbors that all have values."""
    runs: list[list[str]] = []
    slot, before = chart.slot, None
    for at, x, value in zip(chart.times, middles, series.values, strict=True):
        if value is None:
            before = None
            continue
        if before is None or not _adjoins(slot, at - before):
            runs.append([])
        runs[-1].append(f"{x:g} {axis.y(value):g}")
        before = at
    path = [f"M{' '.join(run)}" for run in runs if len(run) > 1]
    dots = [f"M{run[0]}h0" for run in runs if len(run) == 1]
    return Line("".join(path), "".join(dots))


def _adjoins(slot: int, distance: int) -> bool:
    """Whether a slot begins where the one before it ends. A local day has 23 to 25 hours, so half a slot more is no gap."""
    return distance <= slot * 3 // 2


def _place_marks(chart: TimeChart) -> tuple[PlacedMark, ...]:
    within = [(mark.at, index) for index, mark in enumerate(chart.marks) if chart.since <= mark.at <= chart.until and chart.times]
    return place_labels([(index, position(at, chart.since, chart.until), len(chart.marks[index].label)) for at, index in sorted(within)])
