# SPDX-License-Identifier: AGPL-3.0-or-later
"""Decides which sums a history reads: a range of the URL becomes slots, as fine as the number of series allows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from z4j.rules.rollups import DAY, DAY_US, HOUR, HOUR_US, MINUTE, MINUTE_US, STEP_US

MOST_READ: Final = 8_000
"""Sums that one history looks up at most: a page reads a bounded number of rows, whatever the database holds."""
FEW: Final = 1_500
"""The same of minutes over a day, which are read instead of hours where that costs little."""
DEFAULT: Final = "90m"


@dataclass(frozen=True, slots=True)
class Span:
    """A range that can be chosen. `grids` are (step of the sums, length of a slot in microseconds, most sums to look up), the finest
    first."""

    word: str
    us: int
    grids: tuple[tuple[int, int, int], ...]


SPANS: Final = {
    "90m": Span("90 min", 90 * MINUTE_US, ((MINUTE, MINUTE_US, MOST_READ),)),
    "24h": Span("24 h", DAY_US, ((MINUTE, 20 * MINUTE_US, FEW), (HOUR, HOUR_US, MOST_READ))),
    "7d": Span("7 d", 7 * DAY_US, ((HOUR, 2 * HOUR_US, MOST_READ), (DAY, DAY_US, MOST_READ))),
    "90d": Span("90 d", 90 * DAY_US, ((DAY, DAY_US, MOST_READ),)),
}  # fmt: skip
HEAT: Final = SPANS["7d"]
"""The range of a heat map. More columns than its 84 are narrower than a pointer."""


@dataclass(frozen=True, slots=True)
class Window:
    """A range as slots of equal length. `since` and `until` are microseconds UTC, `until` excluded; `now` lies in the last slot."""

    since: int
    until: int
    step: int
    slot_us: int
    now: int

    @property
    def slots(self) -> range:
        """The beginnings of its slots."""
        return range(self.since, self.until, self.slot_us)

    @property
    def lookups(self) -> int:
        """How many sums one series has in it."""
        return (self.until - self.since) // STEP_US[self.step]

    def slot_of(self, at: int) -> int:
        """Returns the beginning of the slot of a time."""
        return at // self.slot_us * self.slot_us

    def per_minute(self, slot: int, count: float) -> float:
        """Returns a count of a slot as a rate. The last slot has only begun: its rate is by the time that has passed, at least a sixth."""
        passed = max(min(slot + self.slot_us, self.now) - slot, self.slot_us // 6)
        return count * MINUTE_US / passed


def choose(key: str | None) -> str:
    """Returns the key of a range in a URL, or of the default one."""
    return key if key in SPANS else DEFAULT


def window(span: Span, now: int, series: int = 1) -> Window:
    """Returns the slots of a range that ends now (microseconds UTC), coarser ones where so many series would need too many sums."""
    for step, slot_us, most in span.grids:
        until = now // slot_us * slot_us + slot_us
        found = Window(until - span.us, until, step, slot_us, now)
        if found.lookups * series <= most:
            return found
    return found


def merged(buckets: Mapping[int, int], width: int) -> dict[int, int]:
    """Returns a histogram with buckets `width` times as wide in the exponent, by the first of the merged ones."""
    whole: dict[int, int] = {}
    for bucket, tasks in buckets.items():
        first = bucket // width * width
        whole[first] = whole.get(first, 0) + tasks
    return whole


def added(histograms: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Returns the sum of histograms."""
    whole: dict[int, int] = {}
    for histogram in histograms:
        for bucket, tasks in histogram.items():
            whole[bucket] = whole.get(bucket, 0) + tasks
    return whole
