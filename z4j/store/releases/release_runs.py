# SPDX-License-Identifier: AGPL-3.0-or-later
"""The runs of a release and those before it, by task name. Reads sums only, and a bounded number of them. Times are microseconds
UTC."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from z4j.rules.history.ranges import MOST_READ, added
from z4j.rules.releases.verdicts import Side
from z4j.rules.rollups import DAY_US, HOUR, HOUR_US, KEPT_US, MINUTE, MINUTE_US, STEP_US
from z4j.store.names import names
from z4j.store.rollups import rollups
from z4j.store.rollups.rollups import NO_SUMS, Histograms, Range, Sums
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Store

SQL = sql.load("releases/release_runs")
PAGE: Final = 30
LONGEST_US: Final = 7 * DAY_US
"""Maximum time before a release that is compared; otherwise as long as the release has run."""
SHORTEST_US: Final = HOUR_US
"""Minimum time before a release that is compared: five minutes before a five-minute roll-out would be too little."""
ERRORS: Final = 10
MINUTES_KEPT_US: Final = (KEPT_US[MINUTE] or 0) - HOUR_US
"""Minutes that are about to be deleted are not read."""


@dataclass(frozen=True, slots=True)
class Release:
    """A release in an app and environment, as ids and as texts, and when it was first seen."""

    app_id: int
    app: str
    environment_id: int
    environment: str
    release_id: int
    release: str
    first_at: int


class NameRuns(NamedTuple):
    """A task name on both sides."""

    name: str
    engine: str
    before: Side
    after: Side


@dataclass(frozen=True, slots=True)
class Comparison:
    """Every task name that ran with the release, from `first_at` until `until`, against other releases from `since` until `first_at`.
    `left_out`: series that were not read because there are too many."""

    names: tuple[NameRuns, ...]
    since: int
    until: int
    left_out: int


class NewError(NamedTuple):
    """An error that was first seen with a release."""

    id: int
    title: str
    failed: int


async def list_releases(store: Store, before: int, *, app: str = "", environment: str = "", limit: int = PAGE) -> list[Release]:
    """Lists releases first seen before a time, newest first; "" is any app or environment."""
    params = {"before": before, "app": app, "environment": environment, "limit": limit}
    return [Release(*row) for row in await store.fetch_all(SQL["list_releases"], params)]


async def find_release(store: Store, release: str, *, app: str = "", environment: str = "") -> Release | None:
    """Returns a release; if it was seen in several apps or environments, the one seen last."""
    row = await store.fetch_one(SQL["find_release"], {"release": release, "app": app, "environment": environment})
    return None if row is None else Release(*row)


async def newer_release(store: Store, release: Release) -> tuple[str, int] | None:
    """Returns (release, when it was first seen) of the next one in the same app and environment; None while there is none."""
    params = {"app_id": release.app_id, "environment_id": release.environment_id, "release_id": release.release_id, "at": release.first_at}
    row = await store.fetch_one(SQL["newer_release"], params)
    return None if row is None else (row[0], row[1])


async def list_new_errors(store: Store, release: Release, until: int) -> list[NewError]:
    """Lists the errors of its app that were first seen from its first sight until a time, most failures first."""
    params = {"app_id": release.app_id, "since": release.first_at, "until": until, "limit": ERRORS}
    return [NewError(*row) for row in await store.fetch_all(SQL["new_errors"], params)]


async def compare(store: Store, release: Release, now: int) -> Comparison:
    """Returns both sides of every task name of a release."""
    until = min(now, release.first_at + LONGEST_US)
    span = min(max(until - release.first_at, SHORTEST_US), LONGEST_US)
    known = await store.fetch_all(SQL["list_series"], {"app_id": release.app_id, "environment_id": release.environment_id})
    mine = {id: (name_id, engine_id) for id, engine_id, name_id, release_id in known if release_id == release.release_id}
    kept = set(mine.values())
    others = {id: (name_id, engine_id) for id, engine_id, name_id, release_id in known
              if release_id != release.release_id and (name_id, engine_id) in kept}  # fmt: skip
    after, left_out = await _sides(store, mine, release.first_at, until, now)
    # With hours, the hour of the roll-out is excluded: other releases still ran in it.
    is_recent = release.first_at - span >= now - MINUTES_KEPT_US
    ends = release.first_at if is_recent else release.first_at // HOUR_US * HOUR_US
    before, more = await _sides(store, others, ends - span, ends, now)
    texts = await names.read_texts(store, {id for pair in after for id in pair})
    runs = [
        NameRuns(texts.get(name_id, ""), texts.get(engine_id, ""), before.get((name_id, engine_id), Side()), side)
        for (name_id, engine_id), side in after.items()
    ]
    return Comparison(tuple(runs), release.first_at - span, until, left_out + more)


async def _sides(
    store: Store, series: Mapping[int, tuple[int, int]], since: int, until: int, now: int
) -> tuple[dict[tuple[int, int], Side], int]:  # fmt: skip
    """The runs of a range by (name, engine), and how many series were not read; by minutes if they are stored and few, otherwise by
    hours."""
    within = _range(since, until, now, len(series))
    ids = list(series)[: max(MOST_READ // max(len(within.times), 1), 1)]
    sums = await rollups.by_series(store, ids, within)
    histograms = await rollups.histograms_by_series(store, ids, within, "ran")
    found: dict[tuple[int, int], list[tuple[Sums, Histograms | None]]] = {}
    for id in sums.keys() | histograms.keys():
        found.setdefault(series[id], []).append((sums.get(id, NO_SUMS), histograms.get(id)))
    return {key: side for key, parts in found.items() if (side := _side(parts)).started or side.ended}, len(series) - len(ids)


def _side(parts: Iterable[tuple[Sums, Histograms | None]]) -> Side:
    known = list(parts)
    ended, bad, started, retried = (
        max(sum(each), 0)
        for each in zip(*((s.ended, s.failed + s.lost + s.rejected + s.expired, s.started, s.retried) for s, _ in known), strict=True)
    )
    return Side(ended, bad, started, retried, added(each.ran for _, each in known if each is not None))


def _range(since: int, until: int, now: int, series: int) -> Range:
    if since >= now - MINUTES_KEPT_US and (until - since) // MINUTE_US * series <= MOST_READ:
        return Range(MINUTE, since // MINUTE_US * MINUTE_US, until)
    length = STEP_US[HOUR]
    return Range(HOUR, since // length * length, until)
