# SPDX-License-Identifier: AGPL-3.0-or-later
"""Sums over tasks since this server started, which only rise: what /metrics reports as counters and histograms.

The writer adds to them what it adds to the minutes, once a commit is done, so a scrape reads no row. A correction (a task that was lost and
is reported later) is added where it now belongs and is not taken out where it was: counters of Prometheus must not fall.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from z4j.rules.rollups import COLUMNS

LIMIT: Final = 10_000
"""Places that have sums of their own. Those that come later are summed up by app, environment and engine."""
OTHERS: Final = -1
"""In place of the ids of a name and a queue: any beyond the limit."""

Place = tuple[int, int, int, int, int]
"""App, environment, engine, name, queue."""


class PlaceTotals:
    """The sums of one place, in the order of `rules.rollups.COLUMNS`, and its tasks by bucket (those of waits begin at `WAITS`)."""

    __slots__ = ("buckets", "sums")

    def __init__(self) -> None:
        self.sums = [0] * len(COLUMNS)
        self.buckets: dict[int, int] = {}

    def add(self, values: Sequence[int], buckets: Mapping[int, int]) -> None:
        """Adds what rises."""
        for index, value in enumerate(values):
            if value > 0:
                self.sums[index] += value
        for bucket, tasks in buckets.items():
            if tasks > 0 and bucket >= 0:
                self.buckets[bucket] = self.buckets.get(bucket, 0) + tasks

    def copy(self) -> PlaceTotals:
        """Returns the sums as they are now."""
        made = PlaceTotals()
        made.sums, made.buckets = list(self.sums), dict(self.buckets)
        return made


class RunTotals:
    """One per store. The writer's thread adds, any thread reads."""

    def __init__(self) -> None:
        self._totals: dict[Place, PlaceTotals] = {}
        self._staged: list[tuple[Place, Sequence[int], Mapping[int, int]]] = []
        self._lock = threading.Lock()

    def stage(self, place: Place, values: Sequence[int], buckets: Mapping[int, int]) -> None:
        """Keeps what the present transaction adds."""
        self._staged.append((place, values, dict(buckets)))

    def commit(self) -> None:
        """Adds what was staged: it was committed."""
        if not self._staged:
            return
        with self._lock:
            for place, values, buckets in self._staged:
                self._of(place).add(values, buckets)
        self._staged.clear()

    def drop(self) -> None:
        """Drops what was staged: it was rolled back."""
        self._staged.clear()

    def forget_names(self, ids: Iterable[int]) -> None:
        """Drops places of deleted names: their ids may be given again."""
        gone = set(ids)
        with self._lock:
            for place in [place for place in self._totals if gone.intersection(place[1:])]:
                del self._totals[place]

    def snapshot(self) -> dict[Place, PlaceTotals]:
        """Returns all sums, in the order in which their places came."""
        with self._lock:
            return {place: totals.copy() for place, totals in self._totals.items()}

    def _of(self, place: Place) -> PlaceTotals:
        known = self._totals.get(place)
        if known is None:
            if len(self._totals) >= LIMIT:
                place = (*place[:3], OTHERS, OTHERS)
            known = self._totals.setdefault(place, PlaceTotals())
        return known
