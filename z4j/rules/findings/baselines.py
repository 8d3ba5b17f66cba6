# SPDX-License-Identifier: AGPL-3.0-or-later
"""Baselines: the median of earlier values and their median absolute deviation (MAD), so that one bad hour in the past changes little."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Final, NamedTuple

LEAST_SAMPLES: Final = 6
"""With fewer earlier hours nothing is reported as unusual."""


class Usual(NamedTuple):
    """The median of some values, their median absolute deviation (MAD), and their number."""

    median: float
    mad: float
    samples: int

    def above(self, *, factor: float, mads: float) -> float:
        """Returns the limit above which a value is unusual: both a multiple of the median and a number of MADs above it."""
        return max(self.median * factor, self.median + self.mad * mads)

    def below(self, *, factor: float, mads: float) -> float:
        """Returns the limit below which a value is unusual."""
        return min(self.median * factor, self.median - self.mad * mads)


def usual(values: Sequence[float], least: int = LEAST_SAMPLES) -> Usual | None:
    """Returns the baseline of these values; None if there are fewer than `least`."""
    return baseline(values) if len(values) >= max(least, 1) else None


def baseline(values: Sequence[float]) -> Usual:
    """Returns the baseline of any number of values. Raises statistics.StatisticsError without any."""
    middle = float(median(values))
    return Usual(middle, float(median(abs(value - middle) for value in values)), len(values))
