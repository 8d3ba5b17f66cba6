# SPDX-License-Identifier: AGPL-3.0-or-later
"""Lines and bars: everything lies within the plot, a missing value is a gap, and the smallest failure is seen."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as some

from z4j.rules.charts.mark_labels import LABEL_ROWS
from z4j.rules.charts.model import MINUTE, MOST_VALUE, Mark, Series, TimeChart
from z4j.rules.charts.scales import LEAST
from z4j.rules.charts.time_series import Band, Line, draw_bars, draw_lines, total

VALUES = some.floats(0, MOST_VALUE) | some.none() | some.integers(0, 3)


@some.composite
def charts(draw: some.DrawFn) -> TimeChart:
    times = sorted(draw(some.sets(some.integers(0, 200), max_size=12)))
    count = len(times)
    series = [
        Series(f"s{number}", "failed", draw(some.lists(VALUES, min_size=count, max_size=count)))
        for number in range(draw(some.integers(0, 3)))
    ]
    marks = [Mark(draw(some.integers(-10, 210)) * MINUTE, "label" * draw(some.integers(0, 9))) for _ in range(draw(some.integers(0, 9)))]
    return TimeChart("x", [at * MINUTE for at in times], series, marks=marks, height=draw(some.integers(20, 300)))


def numbers(path: str) -> list[tuple[float, float]]:
    """The points of a path of lines or dots."""
    places = re.findall(r"[M ]?([\d.e+-]+) ([\d.e+-]+)", path.replace("h0", ""))
    return [(float(x), float(y)) for x, y in places]


@given(charts())
@settings(deadline=None)
def test_nothing_is_outside_the_plot(chart: TimeChart) -> None:
    lines, bars = draw_lines(chart), draw_bars(chart)
    for line in lines.lines:
        for text in (line.path, line.dots):
            assert "nan" not in text
            assert "inf" not in text
            assert all(0 <= x <= 1_000 and 0 <= y <= chart.height for x, y in numbers(text))
    for bar in bars.bars:
        assert bar.y >= 0
        assert bar.height >= (LEAST if bar.series >= 0 else 0)
        assert bar.y + bar.height <= chart.height + 0.11
    for band in (*lines.frame.slots, *lines.frame.gaps):
        assert band.x >= 0
        assert band.width >= 0
        assert band.x + band.width <= 1_000.1


@given(charts())
@settings(deadline=None)
def test_every_value_is_drawn_once(chart: TimeChart) -> None:
    for series, line in zip(chart.series, draw_lines(chart).lines, strict=True):
        known = sum(value is not None for value in series.values)
        assert len(numbers(line.path)) + len(numbers(line.dots)) == known
    drawn = [(bar.series, bar.slot) for bar in draw_bars(chart).bars if bar.series >= 0]
    assert sorted(drawn) == [
        (index, slot) for index, series in enumerate(chart.series) for slot, value in enumerate(series.values) if value
    ]  # fmt: skip


@given(charts())
@settings(deadline=None)
def test_labels_of_marks_do_not_overlap(chart: TimeChart) -> None:
    frame = draw_lines(chart).frame
    shown = [mark for mark in frame.marks if mark.row >= 0]
    assert all(mark.row < min(LABEL_ROWS, frame.label_rows) for mark in shown)
    for row in range(LABEL_ROWS):
        starts = [mark.x for mark in shown if mark.row == row and mark.anchor == "start"]
        assert len(starts) == len(set(starts))
    within = [mark for mark in chart.marks if chart.times and chart.since <= mark.at <= chart.until]
    assert len(frame.marks) == len(within), "a mark without room for its label keeps its line"


def test_a_missing_value_interrupts_the_line_and_is_a_gap_of_the_axis() -> None:
    chart = TimeChart("x", [i * MINUTE for i in range(10)], [Series("a", "failed", [1, 2, 3, None, None, 4, None, 3, 2, 1])])
    drawing = draw_lines(chart)
    assert drawing.lines[0].path == "M50 105 150 70 250 35M750 35 850 70 950 105"
    assert len(numbers(drawing.lines[0].dots)) == 1, "a point without neighbors is a dot"
    assert drawing.frame.gaps == (Band(300, 200), Band(600, 100))


def test_a_time_that_is_not_in_the_list_is_a_gap() -> None:
    chart = TimeChart("x", [0, MINUTE, 4 * MINUTE, 5 * MINUTE], [Series("a", "failed", [1, 1, 1, 1])])
    drawing = draw_lines(chart)
    assert drawing.lines[0].path.count("M") == 2
    assert drawing.frame.gaps == (Band(333.3, 333.4),)


def test_zero_is_not_a_gap() -> None:
    chart = TimeChart("x", [0, MINUTE, 2 * MINUTE], [Series("a", "failed", [0, 0, None])])
    assert draw_lines(chart).lines[0].path == "M166.7 140 500 140"
    bars = draw_bars(chart)
    assert [(bar.series, bar.slot) for bar in bars.bars] == [(-1, 0), (-1, 1)]
    assert bars.frame.gaps == (Band(666.7, 333.3),)


def test_bars_are_stacked_in_the_order_of_the_series() -> None:
    chart = TimeChart("x", [0], [Series("a", "succeeded", [6]), Series("b", "failed", [2])], height=80)
    first, second = draw_bars(chart).bars
    assert (first.y, first.height) == (20, 60)
    assert (second.y, second.height) == (0, 20)


def test_one_failure_among_a_million_is_seen() -> None:
    chart = TimeChart("x", [0], [Series("a", "succeeded", [1_000_000]), Series("b", "failed", [1])])
    assert [bar.height for bar in draw_bars(chart).bars] == [93.3, LEAST]


def test_nothing_to_draw() -> None:
    for chart in (TimeChart("x", [], []), TimeChart("x", [0], []), TimeChart("x", [0], [Series("a", "failed", [None])])):
        assert draw_bars(chart).bars == ()
        assert draw_bars(chart).frame.gaps == ()
        assert all(line.path == line.dots == "" for line in draw_lines(chart).lines)


def test_the_total_of_a_slot_is_missing_only_where_all_are() -> None:
    series = [Series("a", "failed", [None, 1, None]), Series("b", "failed", [2, 3, None])]
    assert [total(series, slot) for slot in range(3)] == [2, 4, None]


def test_a_drawing_to_compare_with() -> None:
    series = [Series("a", "succeeded", [10, 20, None, 40, None, 40]), Series("b", "failed", [None] * 6)]
    marks = [Mark(2 * MINUTE, "later"), Mark(MINUTE, "now"), Mark(-1, "before"), Mark(6 * MINUTE, "end"), Mark(6 * MINUTE + 1, "after")]
    drawing = draw_lines(TimeChart("x", [i * MINUTE for i in range(6)], series, marks=marks, height=80))
    assert drawing.lines[0].path == "M83.3 60 250 40"
    assert drawing.lines[0].dots == "M583.4 0h0M916.6 0h0"
    assert drawing.lines[1] == Line("", "")
    assert drawing.frame.slots[1] == Band(166.7, 166.6)
    assert drawing.frame.gaps == (Band(333.3, 166.7), Band(666.7, 166.6))
    assert [(mark.index, mark.x, mark.row) for mark in drawing.frame.marks] == [(1, 166.7, 0), (0, 333.3, 0), (3, 1_000.0, 0)]
    assert drawing.frame.label_rows == 1
    assert drawing.frame.scale.height == 80


def test_without_marks_there_is_no_row_for_them() -> None:
    assert draw_lines(TimeChart("x", [0], [])).frame.label_rows == 0
    assert draw_lines(TimeChart("x", [], [], marks=[Mark(0, "x")])).frame.marks == ()
    several = draw_lines(TimeChart("x", [0, MINUTE], [], marks=[Mark(at, "label") for at in range(3)])).frame
    assert [mark.row for mark in several.marks] == [0, 1, 2]
    assert several.label_rows == 3


def test_a_day_of_twenty_five_hours_is_no_gap() -> None:
    hour = 60 * MINUTE
    for long, path, gaps in ((25, 1, 0), (34, 1, 0), (35, 2, 1)):
        chart = TimeChart("x", [0, 23 * hour, (23 + long) * hour, (47 + long) * hour], [Series("a", "failed", [1, 2, 3, 4])])
        drawing = draw_lines(chart)
        assert drawing.lines[0].path.count("M") == path, long
        assert len(drawing.frame.gaps) == gaps, long


def test_a_distance_of_one_and_a_half_slots_is_the_last_that_adjoins() -> None:
    for distance, parts in ((15, 1), (16, 2)):
        chart = TimeChart("x", [0, 10, 10 + distance, 20 + distance], [Series("a", "failed", [1, 1, 1, 1])])
        assert draw_lines(chart).lines[0].path.count("M") == parts
        assert len(draw_lines(chart).frame.gaps) == parts - 1
