# SPDX-License-Identifier: AGPL-3.0-or-later
"""Value axes: round steps, and the position of a value. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from z4j.rules.charts.model import BYTES, DURATION

WIDTH: Final = 1_000
"""Horizontal positions of every chart run from 0 to this; vertical ones are pixels, 0 at the top."""
_SECOND: Final = 1_000_000
_DURATION_STEPS: Final = (
    *(unit * step for unit in (1, 1_000) for step in (1, 2, 5, 10, 20, 50, 100, 200, 500)),
    *(_SECOND * step for step in (1, 2, 5, 10, 15, 30)),
    *(60 * _SECOND * step for step in (1, 2, 5, 10, 15, 30)),
    *(3_600 * _SECOND * step for step in (1, 2, 3, 6, 12)),
)
_DAY: Final = 86_400 * _SECOND
_ZERO: Final = 1e-9
"""Smaller values are drawn as zero."""
LEAST: Final = 1.0
"""Pixels of the smallest bar that is not zero: one failure among a million is seen."""


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from 0 at `height` to `top` at 0; `ticks` are round values, the first 0 and the last `top`."""

    top: float
    height: int
    ticks: tuple[float, ...]

    def y(self, value: float) -> float:
        """Returns the vertical position of a value of 0 to `top`, in pixels with one decimal."""
        return self.ys((value,))[0]

    def ys(self, values: Iterable[float]) -> list[float]:
        """Returns the same of many values, in their order."""
        top, height = self.top, self.height
        return [round(height * (1 - min(value / top, 1)), 1) for value in values]


def scale(values: Iterable[float | None], unit: str, height: int, most: int = 4) -> Scale:
    """Returns the axis for these values, with at most `most` steps. Counts get whole steps."""
    known = [value for value in values if value is not None]
    greatest = max(known, default=0)
    is_whole = all(value == int(value) for value in known)
    if greatest < _ZERO:
        top = _SECOND if unit == DURATION else 1
        return Scale(top, height, (0, top))
    steps = (step for step in _steps(greatest / most, unit) if not is_whole or step >= 1)
    step, count = next((step, count) for step in steps if (count := _count(greatest, step)) <= most)
    return Scale(step * count, height, tuple(step * number for number in range(count + 1)))


def _count(greatest: float, step: float) -> int:
    """The steps up to a value; what floats lose in a division is no further step."""
    return math.ceil(greatest / step * (1 - 1e-12))


def at_least(high: float, low: float) -> tuple[float, float]:
    """Returns top and height of a bar that can be seen; a low one grows upwards, and downwards at the top of the plot."""
    height = max(round(low - high, 1), LEAST)
    return max(round(low - height, 1), 0.0), height


def _steps(least: float, unit: str) -> Iterator[float]:
    """Round steps that ascend without end, from below `least` (greater than 0) on."""
    base, power = 1, math.floor(math.log10(least)) - 1
    if unit == DURATION:
        yield from _DURATION_STEPS
        base, power = _DAY, 0
    elif unit == BYTES:
        power = max(power, 0)
    while True:
        for factor in (1, 2, 5):
            yield base * factor * 10.0**power
        power += 1
