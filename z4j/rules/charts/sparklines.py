# SPDX-License-Identifier: AGPL-3.0-or-later
"""Sparklines: bars without an axis, as wide as a word. Pure; positions are pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from z4j.rules.charts.model import Values, check

HEIGHT: Final = 24
MOST_WIDTH: Final = 96
_SIZES: Final = ((24, 3, 1), (32, 2, 1), (48, 1, 1))
"""Up to how many bars, with the width of a bar and of the space after it: whole pixels, so that the bars are sharp."""


@dataclass(frozen=True, slots=True)
class Sparkline:
    """`path` draws all bars. A zero is one pixel high, a missing value is left out."""

    width: int
    height: int
    path: str


def draw_sparkline(values: Values) -> Sparkline:
    """Returns the bars of a sparkline. Values that do not fit are averaged with their neighbors. Raises ValueError."""
    check(values)
    shown = _thin(values, MOST_WIDTH // 2)
    bar, space = next((bar, space) for most, bar, space in _SIZES if len(shown) <= most)
    greatest = max((value for value in shown if value is not None), default=0) or 1
    path = []
    for number, value in enumerate(shown):
        if value is not None:
            height = max(1, round(HEIGHT * (value / greatest)))
            path.append(f"M{number * (bar + space)} {HEIGHT}v-{height}h{bar}v{height}z")
    return Sparkline(max(len(shown) * (bar + space) - space, 1), HEIGHT, "".join(path))


def _thin(values: Values, most: int) -> Sequence[float | None]:
    size = -(-len(values) // most) or 1
    if size == 1:
        return values
    parts = (values[start : start + size] for start in range(0, len(values), size))
    return [_mean([value for value in part if value is not None]) for part in parts]


def _mean(values: Sequence[float]) -> float | None:
    return sum(value / len(values) for value in values) if values else None
