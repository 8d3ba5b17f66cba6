# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a caller gives to a chart. Times are microseconds UTC, durations microseconds, a missing value is None and never zero. Pure.

Every class checks its values and raises ValueError for a value that is negative, above MOST_VALUE or not a number, for lists whose lengths
differ, and for more than MOST_POINTS points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

MINUTE: Final = 60_000_000
MOST_POINTS: Final = 1_500
"""A day of minutes fits; a page with more is not read by a person."""
MOST_CELLS: Final = 4_000
MOST_VALUE: Final = 2**63
"""No counter of the store is greater."""
DURATION: Final = "us"
"""The unit of values that are microseconds. Bytes are `BYTES`; any other unit is a word shown after the number: tasks, per minute, %."""
BYTES: Final = "bytes"
Values = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Series:
    """One line, or one layer of stacked bars. `state` sets the color (web/frame/icons.py). Lines of one color get different dashes.

    `href` links the name of the series to its rows, `links` each of its bars; without `links` a bar has the link of its time.
    """

    name: str
    state: str
    values: Values
    href: str = ""
    links: Sequence[str] = ()

    def __post_init__(self) -> None:
        check(self.values)
        if self.links and len(self.links) != len(self.values):
            raise ValueError(f"series {self.name!r} has {len(self.values)} values and {len(self.links)} links")


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment shown as a thin vertical line: the first sight of a release (`kind` release) or an action of a person (action)."""

    at: int
    label: str
    href: str = ""
    kind: str = "release"


class _TimeAxis:
    """What follows from the times of a chart."""

    __slots__ = ()
    times: Sequence[int]
    step: int

    @property
    def slot(self) -> int:
        """The length of a slot in microseconds."""
        return self.step or min((after - before for before, after in pairwise(self.times)), default=MINUTE)

    @property
    def since(self) -> int:
        """The start of the first slot; 0 without slots."""
        return self.times[0] if self.times else 0

    @property
    def until(self) -> int:
        """The end of the last slot; 0 without slots."""
        return self.times[-1] + self.slot if self.times else 0


@dataclass(frozen=True, slots=True)
class TimeChart(_TimeAxis):
    """Values over time, for lines and for stacked bars.

    `times` are the starts of the slots, ascending. `links` has one URL per slot, with the rows behind it. `step` is the length of a
    slot; 0 means the shortest distance between two times. Slots that are not in `times` are shown as missing. `zone` is the time zone
    of the labels ("": the reader's), `height` that of the plot in pixels.
    """

    title: str
    times: Sequence[int]
    series: Sequence[Series]
    unit: str = ""
    marks: Sequence[Mark] = ()
    links: Sequence[str] = ()
    step: int = 0
    zone: str = ""
    height: int = 140

    def __post_init__(self) -> None:
        count = len(self.times)
        if count > MOST_POINTS:
            raise ValueError(f"{count} points, at most {MOST_POINTS}")
        if any(after <= before for before, after in pairwise(self.times)):
            raise ValueError("times must ascend")
        if self.links and len(self.links) != count:
            raise ValueError(f"{count} times and {len(self.links)} links")
        for series in self.series:
            if len(series.values) != count:
                raise ValueError(f"series {series.name!r} has {len(series.values)} values for {count} times")
        if self.step < 0 or not 20 <= self.height <= 1_000:
            raise ValueError(f"step {self.step}, height {self.height}")


@dataclass(frozen=True, slots=True)
class Bucket:
    """The number of values from `low` up to and without `high`; `href` leads to them."""

    low: float
    high: float
    count: int
    href: str = ""


@dataclass(frozen=True, slots=True)
class ValueMark:
    """A value shown as a thin vertical line in a histogram, such as p95."""

    value: float
    label: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of values by size. Buckets ascend without a hole between them and are drawn equally wide, so buckets of powers make a
    logarithmic axis.

    `unit` is that of the sizes, `noun` what is counted.
    """

    title: str
    buckets: Sequence[Bucket]
    unit: str = DURATION
    state: str = "running"
    noun: str = "tasks"
    marks: Sequence[ValueMark] = ()
    height: int = 120

    def __post_init__(self) -> None:
        check([bucket.count for bucket in self.buckets])
        check([mark.value for mark in self.marks])
        edges = [edge for bucket in self.buckets for edge in (bucket.low, bucket.high)]
        check(edges)
        if any(bucket.high <= bucket.low for bucket in self.buckets):
            raise ValueError("buckets must ascend")
        if any(not math.isclose(before.high, after.low, rel_tol=1e-6) for before, after in pairwise(self.buckets)):
            raise ValueError("a bucket must begin where the one before it ends")


@dataclass(frozen=True, slots=True)
class HeatMap(_TimeAxis):
    """Counts by time and size. `counts[column][row]`: one list per time, one count per row, None where nothing was recorded.

    `rows` are the lower bounds of the sizes, ascending (the first is drawn at the bottom); `links` has the shape of `counts`.
    """

    title: str
    times: Sequence[int]
    rows: Sequence[float]
    counts: Sequence[Values]
    links: Sequence[Sequence[str]] = ()
    unit: str = DURATION
    state: str = "running"
    noun: str = "tasks"
    step: int = 0
    zone: str = ""

    def __post_init__(self) -> None:
        if len(self.times) * len(self.rows) > MOST_CELLS:
            raise ValueError(f"{len(self.times)} by {len(self.rows)} cells, at most {MOST_CELLS}")
        if len(self.counts) != len(self.times) or any(len(column) != len(self.rows) for column in self.counts):
            raise ValueError("counts need one column per time and one value per row")
        if self.links and [len(column) for column in self.links] != [len(column) for column in self.counts]:
            raise ValueError("links need the shape of counts")
        if any(after <= before for before, after in (*pairwise(self.times), *pairwise(self.rows))):
            raise ValueError("times and rows must ascend")
        check(self.rows)
        for column in self.counts:
            check(column)


def check(values: Values) -> None:
    """Raises ValueError for a value that cannot be drawn, and for too many of them."""
    if len(values) > MOST_POINTS:
        raise ValueError(f"{len(values)} values, at most {MOST_POINTS}")
    for value in values:
        if value is not None and not 0 <= value <= MOST_VALUE:
            raise ValueError(f"{value} cannot be drawn")
