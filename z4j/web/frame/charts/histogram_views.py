# SPDX-License-Identifier: AGPL-3.0-or-later
"""Histograms and heat maps with their texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from z4j.formats import NONE, middle, number, plural
from z4j.rules.charts.heat_maps import SHADES, HeatDrawing, draw_heat
from z4j.rules.charts.histograms import HistogramDrawing, draw_histogram
from z4j.rules.charts.mark_labels import LABEL_LENGTH
from z4j.rules.charts.model import HeatMap, Histogram
from z4j.rules.charts.time_axis import anchor_at
from z4j.web.frame.charts.texts import (
    MANY,
    AxisLabel,
    MarkLine,
    Table,
    axis_labels,
    axis_text,
    brief,
    label_y,
    slot_times,
    slug,
    value_text,
)

MOST_ROWS: Final = 200
"""Cells in the table of a heat map; the greatest are listed."""


class Bar(NamedTuple):
    """The bar of a bucket."""

    x: float
    width: float
    y: float
    height: float
    href: str
    text: str


@dataclass(frozen=True, slots=True)
class EdgeLabel:
    """A label of the horizontal axis."""

    x: float
    label: str
    is_major: bool
    anchor: str


@dataclass(frozen=True, slots=True)
class HistogramView:
    """All that the macro `histogram` shows."""

    id: str
    title: str
    summary: str
    label_rows: int
    axis: tuple[AxisLabel, ...]
    bars: tuple[Bar, ...]
    edges: tuple[EdgeLabel, ...]
    marks: tuple[MarkLine, ...]
    table: Table
    is_empty: bool
    has_many_links: bool


class HeatCell(NamedTuple):
    """A cell that is drawn; `shape` is the data of its SVG path."""

    shape: str
    shade: int
    href: str
    text: str


@dataclass(frozen=True, slots=True)
class HeatView:
    """All that the macro `heat` shows."""

    id: str
    title: str
    summary: str
    drawing: HeatDrawing
    rows: tuple[AxisLabel, ...]
    cells: tuple[HeatCell, ...]
    shades: tuple[int, ...]
    greatest: str
    table: Table
    is_empty: bool
    has_many_links: bool


def histogram_view(histogram: Histogram) -> HistogramView:
    """Returns a histogram with its texts."""
    drawing = draw_histogram(histogram)
    buckets, unit, noun = histogram.buckets, histogram.unit, histogram.noun
    ranges = [_range(bucket.low, bucket.high, unit) for bucket in buckets]
    total = sum(bucket.count for bucket in buckets)
    bars = [
        Bar(column.x, column.width, column.y, column.height, bucket.href if bucket.count else "", f"{text}: {_counted(bucket.count, noun)}")
        for column, bucket, text in zip(drawing.columns, buckets, ranges, strict=True)
    ]
    summary = f"{histogram.title}. No data."
    if total:
        most = max(range(len(buckets)), key=lambda index: buckets[index].count)
        marks = "".join(f"; {mark.label} {value_text(mark.value, unit)}" for mark in histogram.marks)
        summary = f"{histogram.title}: {_counted(total, noun)}, most from {ranges[most]}{marks}."
    return HistogramView(
        id=slug(histogram.title),
        title=histogram.title,
        summary=summary,
        label_rows=max((mark.row + 1 for mark in drawing.marks), default=0),
        axis=axis_labels(drawing.scale, ""),
        bars=tuple(bars),
        edges=tuple(EdgeLabel(edge.x, axis_text(edge.value, unit), edge.is_major, anchor_at(edge.x)) for edge in drawing.edges),
        marks=_value_marks(histogram, drawing),
        table=Table(("from – to", noun), tuple((text, number(bucket.count)) for bucket, text in zip(buckets, ranges, strict=True))),
        is_empty=not total,
        has_many_links=sum(bool(bar.href) for bar in bars) > MANY,
    )


def _value_marks(histogram: Histogram, drawing: HistogramDrawing) -> tuple[MarkLine, ...]:
    lines = []
    for placed in drawing.marks:
        mark = histogram.marks[placed.index]
        label = middle(mark.label, LABEL_LENGTH) if placed.row >= 0 else ""
        text = f"{mark.label} {value_text(mark.value, histogram.unit)}"
        lines.append(MarkLine(placed.x, label_y(placed.row), placed.anchor, label, text, "", "value"))
    return tuple(lines)


def heat_view(heat: HeatMap) -> HeatView:
    """Returns a heat map with its texts. Its table lists the cells above zero, the greatest first."""
    drawing = draw_heat(heat)
    times = slot_times(heat.times, heat.since, heat.until, heat.slot, heat.zone)
    ranges = [_range(low, high, heat.unit) for low, high in zip(heat.rows, (*heat.rows[1:], None), strict=False)]
    counts = [heat.counts[column][row] or 0 for column, row, _, _ in drawing.cells]
    texts = [_counted(count, heat.noun) for count in counts]
    ends = [f"h{ground.width}v{drawing.row_height}h-{ground.width}z" if ground else "" for ground in drawing.grounds]
    starts = [f"M{ground.x} " if ground else "" for ground in drawing.grounds]
    cells = [
        HeatCell(
            f"{starts[column]}{y}{ends[column]}", shade, heat.links[column][row] if heat.links else "",
            f"{times[column]}, {ranges[row]}: {text}",
        )
        for (column, row, y, shade), text in zip(drawing.cells, texts, strict=True)
    ]  # fmt: skip
    greatest = sorted(range(len(counts)), key=lambda index: -counts[index])[:MOST_ROWS]
    listed = tuple((times[drawing.cells[each].column], ranges[drawing.cells[each].row], number(counts[each])) for each in greatest)
    summary = f"{heat.title}. No data."
    if listed:
        time, size, count_text = listed[0]
        summary = f"{heat.title}, {times[0]} to {times[-1]} {heat.zone or 'UTC'}: most at {time}, {size}, {count_text} {heat.noun}."
    return HeatView(
        id=slug(heat.title),
        title=heat.title,
        summary=summary,
        drawing=drawing,
        rows=tuple(AxisLabel(label.y, axis_text(label.value, heat.unit)) for label in drawing.rows),
        cells=tuple(cells),
        shades=tuple(range(1, SHADES + 1)),
        greatest=number(drawing.greatest),
        table=Table(("time", "from – to", heat.noun), listed),
        is_empty=not cells,
        has_many_links=sum(bool(cell.href) for cell in cells) > MANY,
    )


def _range(low: float, high: float | None, unit: str) -> str:
    """1.0 s – 1.4 s; from 1.0 s where there is no upper end."""
    if high is None:
        return f"from {value_text(low, brief(unit))}"
    return f"{value_text(low, brief(unit))} {NONE} {value_text(high, brief(unit))}"


def _counted(count: float, noun: str) -> str:
    if noun == "tasks":  # thousands of cells
        return "1 task" if (tasks := round(count)) == 1 else f"{tasks:,} tasks"
    return plural(round(count), noun.removesuffix("s"), noun) if noun.endswith("s") else f"{number(count)} {noun}"
