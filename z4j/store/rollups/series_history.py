# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads the history of a task name or of a queue from its sums. How many are read has a bound: see rules/history/ranges.py."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from z4j.rules.history.ranges import HEAT, MOST_READ, SPANS, Window, added, window
from z4j.rules.rollups import DAY, DAY_US, MINUTE
from z4j.store.names import names
from z4j.store.rollups import rollups
from z4j.store.rollups.rollups import NO_SUMS, Histograms, Measure, Range, Series, Sums
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Store

SQL = sql.load("rollups/series_history")
ANY: Final = -1
CANDIDATES: Final = 20_000
"""Sums that are looked up to find the series with tasks in the days of the range."""
UNROLLED: Final = 12
"""Minutes, about, that were not yet added to their days: they are looked up one by one."""


BLOCKS: Final = {"name": "series_of_name", "queue": "series_of_queue"}
COUNTS: Final = {"name": "count_series_of_name", "queue": "count_series_of_queue"}


@dataclass(frozen=True, slots=True)
class Place:
    """What a history is about, as ids. -1: any app, environment or engine."""

    kind: Literal["name", "queue"]
    id: int
    app_id: int
    environment_id: int
    engine_id: int


@dataclass(frozen=True, slots=True)
class History:
    """Sums and histograms by the beginning of each slot (microseconds UTC; slots without tasks are left out), and sums by series.

    `counted_from` is since when there are sums of this step, None without any. `left_out` are series with tasks that were not read, because
    there are too many; those that were read have `share` of the tasks of the newest `CANDIDATES`.
    """

    window: Window
    sums: dict[int, Sums]
    histograms: dict[int, Histograms]
    by_series: dict[Series, Sums]
    counted_from: int | None
    left_out: int
    share: float

    @property
    def whole(self) -> Sums:
        """The sums of the whole range."""
        return add_sums(self.sums.values())

    @property
    def ran(self) -> dict[int, int]:
        """Runtimes of the whole range by bucket."""
        return added(each.ran for each in self.histograms.values())

    @property
    def waited(self) -> dict[int, int]:
        """Waits of the whole range by bucket."""
        return added(each.waited for each in self.histograms.values())


async def find_place(store: Store, kind: Literal["name", "queue"], text: str, app: str, environment: str, engine: str) -> Place | None:
    """Returns the ids of a task name or a queue; None if no task has it. "" is any app, environment or engine; any name has the id -1."""
    wanted = {kind: text, "environment": environment, "engine": engine}
    ids = await names.find(store, wanted)
    if any(value and key not in ids for key, value in wanted.items()):
        return None
    app_id = ANY
    if app:
        row = await store.fetch_one(SQL["find_app"], {"name": app})
        if row is None:
            return None
        app_id = row[0]
    return Place(
        kind,
        ids.get(kind, ANY) if text else ANY,
        app_id,
        ids.get("environment", ANY) if environment else ANY,
        ids.get("engine", ANY) if engine else ANY,
    )


async def read_history(store: Store, place: Place, key: str, now: int, measure: Measure = "both") -> History:
    """Returns the history of a range of `rules.history.ranges.SPANS`, with the histograms of one measure or of both."""
    active, days, unread = await _active(store, place, now - SPANS[key].us, now)
    found = window(SPANS[key], now, len(active))
    kept = active[: max(MOST_READ // found.lookups, 1)]
    ids = [series.id for series in kept]
    within = Range(found.step, found.since, found.until)
    sums = await rollups.by_time(store, ids, within, found.slot_us)
    histograms = await rollups.histograms_by_time(store, ids, within, found.slot_us, measure)
    totals = await rollups.by_series(store, ids, within)
    tasks, whole = sum(_tasks(days[series.id]) for series in kept), sum(_tasks(days[series.id]) for series in active)
    return History(
        found, sums, histograms, {series: totals[series.id] for series in kept if series.id in totals},
        await counted_from(store, found.step), len(active) - len(kept) + unread, tasks / whole if whole else 1.0,
    )  # fmt: skip


async def _active(store: Store, place: Place, since: int, until: int) -> tuple[list[Series], dict[int, Sums], int]:
    """The series with tasks in the days of a range, those with the most first; what they add up to in these days; and the number of older
    series that were not looked at."""
    days = (until // DAY_US) - (since // DAY_US) + 1
    params = {
        "id": place.id, "app_id": place.app_id, "environment_id": place.environment_id, "engine_id": place.engine_id,
        "limit": CANDIDATES // (days + UNROLLED),
    }  # fmt: skip
    known = {row[0]: Series(*row) for row in await store.fetch_all(SQL[BLOCKS[place.kind]], params)}
    unread = await _count(store, place, params) - len(known) if len(known) == params["limit"] else 0
    sums = await rollups.by_series(store, known, Range(DAY, since, until + 1))
    active = [series for id, series in known.items() if id in sums and _tasks(sums[id])]
    return sorted(active, key=lambda series: (-_tasks(sums[series.id]), series.id)), sums, unread


async def _count(store: Store, place: Place, params: dict[str, int]) -> int:
    row = await store.fetch_one(SQL[COUNTS[place.kind]], params)
    return int(row[0]) if row else 0


async def read_runtimes(
    store: Store, place: Place, now: int, history: History | None = None
) -> tuple[Window, dict[int, dict[int, int]]]:  # fmt: skip
    """Returns the slots of a heat map, and the runtimes of each by bucket: those of a history that was read for the same range."""
    if history is not None:
        return history.window, {slot: each.ran for slot, each in history.histograms.items() if each.ran}
    active, _, _ = await _active(store, place, now - HEAT.us, now)
    found = window(HEAT, now, len(active))
    kept = [series.id for series in active[: max(MOST_READ // found.lookups, 1)]]
    histograms = await rollups.histograms_by_time(store, kept, Range(found.step, found.since, found.until), found.slot_us, "ran")
    return found, {slot: each.ran for slot, each in histograms.items()}


async def counted_from(store: Store, step: int) -> int | None:
    """Returns since when there are sums of a step, in microseconds UTC; minutes that were not added to it yet count too."""
    first = [at for at in (await rollups.first_at(store, step), await rollups.first_at(store, MINUTE)) if at is not None]
    return min(first, default=None)


def add_sums(sums: Iterable[Sums]) -> Sums:
    """Adds sums up."""
    columns = list(zip(*sums, strict=True))
    return Sums(*map(sum, columns)) if columns else NO_SUMS


def _tasks(sums: Sums) -> int:
    return max(sums.enqueued, 0) + max(sums.started, 0) + max(sums.ended, 0)
