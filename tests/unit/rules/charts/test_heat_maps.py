# SPDX-License-Identifier: AGPL-3.0-or-later
"""Heat maps: a cell for each count above zero, a ground where something was recorded, nothing where not."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as some

from z4j.rules.charts.heat_maps import LOW, SHADES, TALL, draw_heat, shade
from z4j.rules.charts.model import MINUTE, MOST_VALUE, HeatMap


@given(some.integers(0, 8), some.integers(0, 20), some.data())
@settings(deadline=None)
def test_every_count_has_its_cell_within_the_plot(columns: int, rows: int, data: some.DataObject) -> None:
    value = some.none() | some.floats(0, MOST_VALUE) | some.just(0)
    counts = [data.draw(some.lists(value, min_size=rows, max_size=rows)) for _ in range(columns)]
    drawing = draw_heat(HeatMap("x", [i * MINUTE for i in range(columns)], range(rows), counts))
    assert drawing.height == rows * drawing.row_height
    assert drawing.row_height == (TALL if rows <= 12 else LOW)
    assert {(cell.column, cell.row) for cell in drawing.cells} == {
        (column, row) for column in range(columns) for row in range(rows) if counts[column][row]
    }
    for cell in drawing.cells:
        assert 1 <= cell.shade <= SHADES
        assert 0 <= cell.y <= drawing.height - drawing.row_height
    for ground, column_counts in zip(drawing.grounds, counts, strict=True):
        assert (ground is None) is all(count is None for count in column_counts)
        if ground is not None:
            assert 0 <= ground.x <= ground.x + ground.width <= 1_000.1
    assert all(0 <= row.y <= drawing.height for row in drawing.rows)


def test_the_first_row_is_at_the_bottom() -> None:
    drawing = draw_heat(HeatMap("x", [0], [1, 2, 3], [[5, None, 0]]))
    [cell] = drawing.cells
    assert cell.y == 2 * TALL
    assert drawing.rows[0].y == 2.5 * TALL


def test_more_is_darker_and_one_among_many_is_seen() -> None:
    shades = [shade(count, 4_000) for count in (0, 1, 111, 112, 445, 1_000, 2_000, 4_000)]
    assert shades == [0, 1, 1, 2, 3, 3, 5, 6]
    assert shade(0, 0) == 0
    assert shade(1e-300, MOST_VALUE) == 1


def test_a_drawing_to_compare_with() -> None:
    heat = HeatMap("x", [0, MINUTE, 2 * MINUTE], range(3), [[5, 0, None], [None] * 3, [20, 1, 0]])
    drawing = draw_heat(heat)
    assert (drawing.height, drawing.row_height, drawing.greatest) == (42, 14, 20)
    assert [(ground.x, ground.width) if ground else None for ground in drawing.grounds] == [(0.0, 333.3), None, (666.7, 333.3)]
    assert [(cell.column, cell.row, cell.y, cell.shade) for cell in drawing.cells] == [(0, 0, 28, 3), (2, 0, 28, 6), (2, 1, 14, 2)]
    assert [(row.y, row.value) for row in drawing.rows] == [(35.0, 0), (7.0, 2)]
    assert draw_heat(HeatMap("x", [0], [1], [[None]])).greatest == 0


def test_rows_are_low_where_there_are_many() -> None:
    assert draw_heat(HeatMap("x", [0], range(12), [[1] * 12])).row_height == 14
    many = draw_heat(HeatMap("x", [0], range(13), [[1] * 13]))
    assert many.row_height == 9
    assert [row.value for row in many.rows] == [0, 3, 6, 9, 12]
    assert shade(1, 0) == 0
