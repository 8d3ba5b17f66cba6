# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads sums over tasks per minute, hour and day. A range is read in steps, each by its primary key; nothing here reads a task."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from z4j.rules import rollups
from z4j.rules.rollups import WAITS
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Store

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


async def by_time(store: Store, ids: Iterable[int], within: Range) -> dict[int, Sums]:
    """Returns the sums of some series by the beginning of each step; steps without tasks are left out."""
    rows = await store.fetch_all(SQL["sum_by_time"], _params(ids, within))
    return {at: Sums(*sums) for at, *sums in rows}


async def by_series(store: Store, ids: Iterable[int], within: Range) -> dict[int, Sums]:
    """Returns the sums of a range by series; those without tasks are left out."""
    rows = await store.fetch_all(SQL["sum_by_series"], _params(ids, within))
    return {id: Sums(*sums) for id, *sums in rows}


async def histograms_by_time(store: Store, ids: Iterable[int], within: Range) -> dict[int, Histograms]:
    """Returns the histograms of some series by the beginning of each step."""
    return _histograms(await store.fetch_all(SQL["histogram_by_time"], _params(ids, within)))


async def histograms_by_series(store: Store, ids: Iterable[int], within: Range) -> dict[int, Histograms]:
    """Returns the histograms of a range by series."""
    return _histograms(await store.fetch_all(SQL["histogram_by_series"], _params(ids, within)))


async def first_at(store: Store, step: int) -> int | None:
    """Returns the beginning of the first step with a sum, in microseconds UTC."""
    row = await store.fetch_one(SQL["first_rollup"], {"step": step})
    return row[0] if row else None


class WorkerSums(NamedTuple):
    """Tasks that a worker ended, those of them that failed, and the sum of their runtimes in microseconds."""

    ended: int
    failed: int
    busy_us: int


async def by_worker(store: Store, app_id: int, within: Range) -> dict[int, WorkerSums]:
    """Returns the sums of a range by worker (id of its name)."""
    params = {"app_id": app_id, "step": within.step, "times": json.dumps(within.times)}
    return {id: WorkerSums(*sums) for id, *sums in await store.fetch_all(SQL["sum_workers"], params)}


async def of_worker(store: Store, app_id: int, worker_id: int, within: Range) -> dict[int, WorkerSums]:
    """Returns the sums of one worker by the beginning of each step."""
    params = {"app_id": app_id, "worker_id": worker_id, "step": within.step, "times": json.dumps(within.times)}
    return {at: WorkerSums(*sums) for at, *sums in await store.fetch_all(SQL["worker_by_time"], params)}


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


def _params(ids: Iterable[int], within: Range) -> dict[str, object]:
    return {"ids": json.dumps(list(ids)), "step": within.step, "times": json.dumps(within.times)}


def _histograms(rows: Iterable[tuple[int, ...]]) -> dict[int, Histograms]:
    found: dict[int, Histograms] = {}
    for key, bucket, tasks in rows:
        if tasks > 0:
            of_key = found.setdefault(key, Histograms({}, {}))
            if bucket < WAITS:
                of_key.ran[bucket] = tasks
            else:
                of_key.waited[bucket - WAITS] = tasks
    return found


def merged(histograms: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Adds histograms up."""
    whole: dict[int, int] = {}
    for histogram in histograms:
        for bucket, tasks in histogram.items():
            whole[bucket] = whole.get(bucket, 0) + tasks
    return whole
