# SPDX-License-Identifier: AGPL-3.0-or-later
"""Heat maps: a grid of times and sizes whose cells have one of a few shades. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from z4j.rules.charts.model import HeatMap
from z4j.rules.charts.time_axis import Tick, position, ticks

SHADES: Final = 6
"""Shades of counts above zero; shade 0 is a count of zero, and no cell is a missing count."""
TALL: Final = 14
LOW: Final = 9
FEW_ROWS: Final = 12
"""Rows are TALL pixels high where there are at most so many, else LOW."""


@dataclass(frozen=True, slots=True)
class Ground:
    """A column with at least one count, zero or more."""

    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Cell:
    """A count above zero: the indexes of its column and row, its top, and its shade of 1 to SHADES."""

    column: int
    row: int
    y: int
    shade: int


@dataclass(frozen=True, slots=True)
class RowLabel:
    """The lower bound of a row, and its middle."""

    y: float
    value: float


@dataclass(frozen=True, slots=True)
class HeatDrawing:
    """`grounds` has one entry per time, None where nothing was recorded."""

    height: int
    row_height: int
    grounds: tuple[Ground | None, ...]
    cells: tuple[Cell, ...]
    rows: tuple[RowLabel, ...]
    ticks: tuple[Tick, ...]
    greatest: float


def draw_heat(heat: HeatMap) -> HeatDrawing:
    """Returns the positions of a heat map."""
    row_height = TALL if len(heat.rows) <= FEW_ROWS else LOW
    height = row_height * len(heat.rows)
    greatest = max((count for column in heat.counts for count in column if count is not None), default=0)
    grounds, cells = [], []
    for number, (at, column) in enumerate(zip(heat.times, heat.counts, strict=True)):
        x = position(at, heat.since, heat.until)
        width = round(position(at + heat.slot, heat.since, heat.until) - x, 1)
        grounds.append(Ground(x, width) if any(count is not None for count in column) else None)
        for row, count in enumerate(column):
            if count:
                cells.append(Cell(number, row, height - (row + 1) * row_height, shade(count, greatest)))
    every = 2 if row_height == TALL else 3
    labels = tuple(RowLabel(height - (row + 0.5) * row_height, heat.rows[row]) for row in range(0, len(heat.rows), every))
    return HeatDrawing(height, row_height, tuple(grounds), tuple(cells), labels, ticks(heat.since, heat.until, heat.zone), greatest)


def shade(count: float, greatest: float) -> int:
    """Returns the shade of a count: 0 for zero, else 1 to SHADES, by its square root: a single slow run is seen beside many."""
    if count <= 0 or greatest <= 0:
        return 0
    return min(max(math.ceil(SHADES * math.sqrt(count / greatest) - 1e-9), 1), SHADES)
