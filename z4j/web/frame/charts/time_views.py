# SPDX-License-Identifier: AGPL-3.0-or-later
"""Lines and bars over time with their texts: labels, one text per point, a summary for a screen reader and a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from z4j.formats import NONE, middle, plural
from z4j.rules.charts.mark_labels import LABEL_LENGTH
from z4j.rules.charts.model import Series, TimeChart
from z4j.rules.charts.time_axis import moment_text
from z4j.rules.charts.time_series import BarDrawing, Frame, Line, LineDrawing, draw_bars, draw_lines
from z4j.web.frame.charts.texts import (
    MANY,
    AxisLabel,
    MarkLine,
    Table,
    axis_labels,
    brief,
    label_y,
    slot_times,
    slug,
    value_text,
    value_texts,
)
from z4j.web.frame.icons import look

DASHES: Final = ("", "dash", "dotted", "dash-dots")
"""Classes of the lines of one color, by their order."""
MOST_SPACED: Final = 60
"""With more slots the bars of neighbors touch."""
WIDEST: Final = 120
"""The width of a single bar."""


@dataclass(frozen=True, slots=True)
class LegendItem:
    """A series by name; `tone` and `dash` are its classes."""

    name: str
    tone: str
    dash: str
    href: str


class Slot(NamedTuple):
    """A part of the time axis with its link and text. `width` is that of its bars, `x` where they begin."""

    x: float
    width: float
    href: str
    text: str
    shape: str
    """The data of the SVG path of the whole slot."""


class Segment(NamedTuple):
    """A bar with a link of its own, or without one."""

    tone: str
    y: float
    height: float
    href: str
    text: str


@dataclass(frozen=True, slots=True)
class TimeView:
    """All that the macros `lines` and `bars` show."""

    id: str
    title: str
    summary: str
    frame: Frame
    axis: tuple[AxisLabel, ...]
    legend: tuple[LegendItem, ...]
    slots: tuple[Slot, ...]
    segments: tuple[tuple[Segment, ...], ...]
    """By slot."""
    paths: tuple[Line, ...]
    marks: tuple[MarkLine, ...]
    table: Table
    is_empty: bool
    is_tight: bool
    """Whether the bars of neighbors touch."""
    has_many_links: bool


def line_view(chart: TimeChart) -> TimeView:
    """Returns a line chart with its texts."""
    return _view(chart, draw_lines(chart))


def bar_view(chart: TimeChart) -> TimeView:
    """Returns stacked bars with their texts."""
    return _view(chart, draw_bars(chart))


def legend(series: Sequence[Series]) -> tuple[LegendItem, ...]:
    """Returns the legend. The second and later series of one color have a dash."""
    seen: dict[str, int] = {}
    items = []
    for one in series:
        tone = look(one.state).tone
        dash = DASHES[min(seen.get(tone, 0), len(DASHES) - 1)]
        seen[tone] = seen.get(tone, 0) + 1
        items.append(LegendItem(one.name, tone, dash, one.href))
    return tuple(items)


def _view(chart: TimeChart, drawing: LineDrawing | BarDrawing) -> TimeView:
    frame = drawing.frame
    items = legend(chart.series)
    times = slot_times(chart.times, chart.since, chart.until, chart.slot, chart.zone)
    unit = brief(chart.unit)
    texts = [value_texts(one.values, unit) for one in chart.series]
    rows = tuple(zip(times, *texts, strict=True))
    segments = _segments(chart, drawing, items, rows)
    links = sum(bool(href) for href in chart.links) + sum(bool(bar.href) for slot in segments for bar in slot)
    return TimeView(
        id=slug(chart.title),
        title=chart.title,
        summary=summary(chart),
        frame=frame,
        axis=axis_labels(frame.scale, chart.unit),
        legend=items,
        slots=_slots(chart, frame, rows),
        segments=segments,
        paths=drawing.lines if isinstance(drawing, LineDrawing) else (),
        marks=_marks(chart, frame),
        table=Table(("time", *(one.name for one in chart.series)), rows),
        is_empty=not any(value is not None for one in chart.series for value in one.values),
        is_tight=len(chart.times) > MOST_SPACED,
        has_many_links=links > MANY,
    )


def _slots(chart: TimeChart, frame: Frame, rows: Sequence[tuple[str, ...]]) -> tuple[Slot, ...]:
    """`rows` are those of the table: the time of each slot and the texts of its values."""
    is_spaced, links = len(frame.slots) <= MOST_SPACED, chart.links or ("",) * len(rows)
    names = [f"{one.name} " for one in chart.series]
    has_gaps = any(None in one.values for one in chart.series)
    made = []
    for (left, span), link, (time, *texts) in zip(frame.slots, links, rows, strict=True):
        shape, x, width = f"M{left} 0h{span}v{chart.height}h-{span}z", left, span
        known = [name + text for name, text in zip(names, texts, strict=True) if not has_gaps or text != NONE]
        if is_spaced and (space := max(0.15 * span, span - WIDEST)):
            x, width = round(left + space / 2, 1), round(span - space, 1)
        made.append(Slot(x, width, link if known else "", f"{time}: {', '.join(known) or 'no data'}", shape))
    return tuple(made)


def _segments(
    chart: TimeChart, drawing: LineDrawing | BarDrawing, items: Sequence[LegendItem], rows: Sequence[tuple[str, ...]]
) -> tuple[tuple[Segment, ...], ...]:
    slots: list[list[Segment]] = [[] for _ in chart.times]
    for bar in drawing.bars if isinstance(drawing, BarDrawing) else ():
        if bar.series >= 0:
            one = chart.series[bar.series]
            href = one.links[bar.slot] if one.links else ""
            text = f"{rows[bar.slot][0]}: {one.name} {rows[bar.slot][1 + bar.series]}" if href else ""
            slots[bar.slot].append(Segment(items[bar.series].tone, bar.y, bar.height, href, text))
        else:
            slots[bar.slot].append(Segment("none", bar.y - 1, 1, "", ""))
    return tuple(map(tuple, slots))


def _marks(chart: TimeChart, frame: Frame) -> tuple[MarkLine, ...]:
    lines = []
    for placed in frame.marks:
        mark = chart.marks[placed.index]
        time = moment_text(mark.at, chart.zone, with_day=True)
        label = middle(mark.label, LABEL_LENGTH) if placed.row >= 0 else ""
        lines.append(MarkLine(placed.x, label_y(placed.row), placed.anchor, label, f"{time}: {mark.label}", mark.href, mark.kind))
    return tuple(lines)


def summary(chart: TimeChart) -> str:
    """Returns the chart in sentences: its range, the smallest, greatest and last value of each series, and its marks."""
    if not chart.times:
        return f"{chart.title}. No data."
    start, end = (moment_text(at, chart.zone, with_day=True) for at in (chart.since, chart.until))
    parts = [f"{chart.title}, {start} to {end} {chart.zone or 'UTC'}."]
    for one in chart.series:
        known = [value for value in one.values if value is not None]
        if not known:
            parts.append(f"{one.name}: no data.")
            continue
        low, high, last = (value_text(value, chart.unit) for value in (min(known), max(known), known[-1]))
        parts.append(f"{one.name}: {low} to {high}, last {last}.")
    within = [mark.label for mark in chart.marks if chart.since <= mark.at <= chart.until]
    if within:
        parts.append(f"{plural(len(within), 'mark')}: {', '.join(within[:5])}{' and more' if len(within) > 5 else ''}.")
    return " ".join(parts)
