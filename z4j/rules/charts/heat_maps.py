# SPDX-License-Identifier: AGPL-3.0-or-later
"""Heat maps: a grid of times and sizes whose cells have one of a few shades. Pure."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Final, NamedTuple

from z4j.rules.charts.model import HeatMap
from z4j.rules.charts.time_axis import Tick, position, ticks

SHADES: Final = 6
"""Shades of counts above zero; shade 0 is a count of zero, and no cell is a missing count."""
TALL: Final = 14
LOW: Final = 9
FEW_ROWS: Final = 12
"""Rows are TALL pixels high where there are at most so many, else LOW."""


class Ground(NamedTuple):
    """A column with at least one count, zero or more."""

    x: float
    width: float


class Cell(NamedTuple):
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
    greatest = max((count for column in heat.counts for count in column if count), default=0)
    grounds: list[Ground | None] = []
    cells = []
    since, until, slot = heat.since, heat.until, heat.slot
    limits = _limits(greatest)
    tops = [height - (row + 1) * row_height for row in range(len(heat.rows))]
    for number, (at, column) in enumerate(zip(heat.times, heat.counts, strict=True)):
        x = position(at, since, until)
        is_known = column.count(None) < len(column)
        grounds.append(Ground(x, round(position(at + slot, since, until) - x, 1)) if is_known else None)
        cells += [Cell(number, row, tops[row], bisect_left(limits, count) + 1) for row, count in enumerate(column) if count]
    every = 2 if row_height == TALL else 3
    labels = tuple(RowLabel(height - (row + 0.5) * row_height, heat.rows[row]) for row in range(0, len(heat.rows), every))
    return HeatDrawing(height, row_height, tuple(grounds), tuple(cells), labels, ticks(heat.since, heat.until, heat.zone), greatest)


def shade(count: float, greatest: float) -> int:
    """Returns the shade of a count: 0 for zero, else 1 to SHADES, by its square root: a single slow run is seen beside many."""
    return bisect_left(_limits(greatest), count) + 1 if count > 0 and greatest > 0 else 0


def _limits(greatest: float) -> list[float]:
    """The greatest count of each shade but the last; what a float loses makes no count darker."""
    return [greatest * ((number + 1e-9) / SHADES) ** 2 for number in range(1, SHADES)]
