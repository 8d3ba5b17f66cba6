# SPDX-License-Identifier: AGPL-3.0-or-later
"""Sparklines: bars without an axis, as wide as a word. Pure; positions are pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from z4j.rules.charts.model import Values, check

HEIGHT: Final = 24
MOST_WIDTH: Final = 96
SPACE: Final = 1


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
    bar = 3 if len(shown) <= 24 else 2 if len(shown) <= 32 else 1  # whole pixels, so that the bars are sharp
    greatest = max((value for value in shown if value), default=1)
    path = []
    for number, value in enumerate(shown):
        if value is not None:
            height = max(1, round(HEIGHT * (value / greatest)))
            path.append(f"M{number * (bar + SPACE)} {HEIGHT}v-{height}h{bar}v{height}z")
    return Sparkline(max(len(shown) * (bar + SPACE) - SPACE, 1), HEIGHT, "".join(path))


def _thin(values: Values, most: int) -> Sequence[float | None]:
    size = max(-(-len(values) // most), 1)
    parts = (values[start : start + size] for start in range(0, len(values), size))
    return [_mean([value for value in part if value is not None]) for part in parts]


def _mean(values: Sequence[float]) -> float | None:
    return sum(value / len(values) for value in values) if values else None
