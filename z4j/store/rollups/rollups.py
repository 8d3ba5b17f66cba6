# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads sums over tasks per minute, hour and day. A range is read in steps, each by its primary key; nothing here reads a task."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, NamedTuple

from z4j.rules import rollups
from z4j.rules.rollups import MINUTE, STEP_US, WAITS
from z4j.store.rollups import rolling
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Row, Store

SQL = sql.load("rollups/rollups")


class Sums(NamedTuple):
    """The columns of `rules.rollups.COLUMNS`: tasks, and microseconds."""

    enqueued: int = 0
    started: int = 0
    retried: int = 0
    waited: int = 0
    waited_us: int = 0
    ran: int = 0
    ran_us: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    expired: int = 0
    rejected: int = 0
    lost: int = 0

    @property
    def ended(self) -> int:
        """Tasks that ended, in whatever state."""
        return sum(self[7:])


NO_SUMS = Sums()
assert Sums._fields == rollups.COLUMNS


class Series(NamedTuple):
    """What one series is about: ids of names, 0 where unknown."""

    id: int
    app_id: int
    environment_id: int
    engine_id: int
    name_id: int
    queue_id: int
    release_id: int


class Histograms(NamedTuple):
    """Tasks by bucket of their runtime and of their wait."""

    ran: dict[int, int]
    waited: dict[int, int]


class Range(NamedTuple):
    """Steps from a time on until before another, both microseconds UTC; see `rules.rollups`."""

    step: int
    since: int
    until: int

    @property
    def times(self) -> list[int]:
        """The beginnings of its steps."""
        return rollups.times(self.step, self.since, self.until)


async def list_series(
    store: Store, *, app_id: int = -1, environment_id: int = -1, engine_id: int = -1, name_id: int = -1, queue_id: int = -1,
    is_total: bool = False,
) -> list[Series]:  # fmt: skip
    """Lists the series under these ids (-1: any): those of single names, or those that sum up all of an app, environment and engine."""
    params = {
        "app_id": app_id, "environment_id": environment_id, "engine_id": engine_id, "name_id": name_id, "queue_id": queue_id,
        "is_total": int(is_total),
    }  # fmt: skip
    return [Series(*row) for row in await store.fetch_all(SQL["list_series"], params)]


async def list_totals(store: Store, params: Mapping[str, Any]) -> list[int]:
    """Lists the series that sum up all of an app, environment and engine, under the filters of every page (`task_search.resolve`)."""
    scope = {name: int(params[name]) for name in ("app_id", "environment_id", "engine_id")}
    return [row.id for row in await list_series(store, **scope, is_total=True)]


async def by_time(store: Store, ids: Iterable[int], within: Range) -> dict[int, Sums]:
    """Returns the sums of some series by the beginning of each step; steps without tasks are left out."""
    found: dict[int, Sums] = {}
    async for step, rows in _rows(store, "sum_by_time", ids, within):
        for at, *sums in rows:
            _add_sums(found, at // step * step, Sums(*sums))
    return found


async def by_series(store: Store, ids: Iterable[int], within: Range) -> dict[int, Sums]:
    """Returns the sums of a range by series; those without tasks are left out."""
    found: dict[int, Sums] = {}
    async for _, rows in _rows(store, "sum_by_series", ids, within):
        for id, *sums in rows:
            _add_sums(found, id, Sums(*sums))
    return found


async def histograms_by_time(store: Store, ids: Iterable[int], within: Range) -> dict[int, Histograms]:
    """Returns the histograms of some series by the beginning of each step."""
    found: dict[int, Histograms] = {}
    async for step, rows in _rows(store, "histogram_by_time", ids, within):
        _add_histograms(found, ((at // step * step, *rest) for at, *rest in rows))
    return found


async def histograms_by_series(store: Store, ids: Iterable[int], within: Range) -> dict[int, Histograms]:
    """Returns the histograms of a range by series."""
    found: dict[int, Histograms] = {}
    async for _, rows in _rows(store, "histogram_by_series", ids, within):
        _add_histograms(found, rows)
    return found


async def _rows(store: Store, block: str, ids: Iterable[int], within: Range) -> AsyncIterator[tuple[int, list[Row]]]:
    """The rows of a block, each list with the length of the requested steps: those of the steps, then those of the minutes that are not
    part of them yet."""
    length, listed = STEP_US[within.step], json.dumps(list(ids))
    for part in await _parts(store, within):
        yield length, await store.fetch_all(SQL[block], {"ids": listed, "step": part.step, "times": json.dumps(part.times)})


async def _parts(store: Store, within: Range) -> list[Range]:
    if within.step == MINUTE:
        return [within]
    length = STEP_US[within.step]
    until = -(-within.until // length) * length  # a step that the range only touches counts whole
    last = await store.fetch_one(SQL["last_minute"])
    until = min(until, last[0] + STEP_US[MINUTE]) if last and last[0] is not None else 0
    rolled = max(await rolling.rolled_until(store), within.since // length * length)
    return [within, Range(MINUTE, rolled, until)] if rolled < until else [within]


def _add_sums(found: dict[int, Sums], key: int, sums: Sums) -> None:
    old = found.get(key)
    found[key] = sums if old is None else Sums(*map(int.__add__, old, sums))


async def first_at(store: Store, step: int, since: int = 0) -> int | None:
    """Returns the beginning of the first step from `since` on that has sums (microseconds UTC), or None."""
    row = await store.fetch_one(SQL["first_rollup"], {"step": step, "at": since})
    return row[0] if row else None


class WorkerSums(NamedTuple):
    """Tasks that a worker ended, those of them that failed, and the sum of their runtimes in microseconds."""

    ended: int
    failed: int
    busy_us: int


async def by_worker(store: Store, app_id: int, within: Range) -> dict[int, WorkerSums]:
    """Returns the sums of a range by worker (id of its name)."""
    found: dict[int, WorkerSums] = {}
    for part in await _parts(store, within):
        params = {"app_id": app_id, "step": part.step, "times": json.dumps(part.times)}
        for id, *sums in await store.fetch_all(SQL["sum_workers"], params):
            found[id] = WorkerSums(*map(int.__add__, found.get(id, NO_WORK), sums))
    return found


async def of_worker(store: Store, app_id: int, worker_id: int, within: Range) -> dict[int, WorkerSums]:
    """Returns the sums of one worker by the beginning of each step."""
    found: dict[int, WorkerSums] = {}
    length = STEP_US[within.step]
    for part in await _parts(store, within):
        params = {"app_id": app_id, "worker_id": worker_id, "step": part.step, "times": json.dumps(part.times)}
        for at, *sums in await store.fetch_all(SQL["worker_by_time"], params):
            start = at // length * length
            found[start] = WorkerSums(*map(int.__add__, found.get(start, NO_WORK), sums))
    return found


NO_WORK = WorkerSums(0, 0, 0)


class QueueReport(NamedTuple):
    """What brokers reported of a queue during one step, all brokers together. `depth` is the last report, `oldest_us` the largest age of
    the oldest task; None: not reported."""

    depth: int
    depth_mean: float
    depth_max: int
    oldest_us: int | None
    delayed: int | None
    dead: int | None


async def of_queue(
    store: Store, app_id: int, environment_id: int, engine_id: int, queue_id: int, within: Range, broker_id: int | None = None
) -> dict[int, QueueReport]:
    """Returns what was reported of a queue, by the beginning of each step; of one broker, or of all."""
    params = {
        "app_id": app_id, "environment_id": environment_id, "engine_id": engine_id, "queue_id": queue_id, "step": within.step,
        "times": json.dumps(within.times),
    }  # fmt: skip
    reports: dict[int, QueueReport] = {}
    for at, broker, count, depth_sum, depth_max, depth, oldest_us, delayed, dead in await store.fetch_all(SQL["queue_by_time"], params):
        if broker_id is None or broker == broker_id:
            report = QueueReport(depth, depth_sum / count, depth_max, oldest_us, delayed, dead)
            reports[at] = report if at not in reports else _together(reports[at], report)
    return reports


def _together(one: QueueReport, other: QueueReport) -> QueueReport:
    oldest = [age for age in (one.oldest_us, other.oldest_us) if age is not None]
    return QueueReport(
        one.depth + other.depth, one.depth_mean + other.depth_mean, one.depth_max + other.depth_max, max(oldest) if oldest else None,
        _sum(one.delayed, other.delayed), _sum(one.dead, other.dead),
    )  # fmt: skip


def _sum(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else one + other


def _add_histograms(found: dict[int, Histograms], rows: Iterable[Row]) -> None:
    for key, bucket, tasks in rows:
        if tasks:
            of_key = found.setdefault(key, Histograms({}, {}))
            kind, place = (of_key.ran, bucket) if bucket < WAITS else (of_key.waited, bucket - WAITS)
            kind[place] = kind.get(place, 0) + tasks
