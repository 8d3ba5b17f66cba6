# SPDX-License-Identifier: AGPL-3.0-or-later
"""Labels of vertical lines, in rows above the plot so that they do not overlap. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from z4j.rules.charts.scales import WIDTH

CHARACTER: Final = 18
"""The width of a label's character on a chart that is 340 px wide, in units of WIDTH."""
LABEL_ROWS: Final = 3
LABEL_LENGTH: Final = 28
"""Longer labels are shortened."""


@dataclass(frozen=True, slots=True)
class PlacedMark:
    """A mark within the range: `index` of the mark, `row` of its label (0 at the top), -1 where there is no room for it."""

    index: int
    x: float
    row: int
    anchor: str


def place_labels(marks: Iterable[tuple[int, float, int]]) -> tuple[PlacedMark, ...]:
    """Places marks of (index, x, length of the label), which ascend by x. A label takes the first row that has room."""
    ends = [0.0] * LABEL_ROWS
    placed = []
    for index, x, length in marks:
        width = CHARACTER * (min(length, LABEL_LENGTH) + 1)
        anchor = "start" if x + width <= WIDTH else "end"
        start, end = (x, x + width) if anchor == "start" else (x - width, x)
        row = next((number for number, taken in enumerate(ends) if taken <= start), -1)
        if row >= 0:
            ends[row] = end
        placed.append(PlacedMark(index, x, row, anchor))
    return tuple(placed)
