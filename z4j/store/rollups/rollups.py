# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads sums over tasks per minute, hour and day. A range is read in steps, each by its primary key; nothing here reads a task."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import chain
from operator import add
from typing import Any, Final, Literal, NamedTuple

from z4j.rules import rollups
from z4j.rules.rollups import DAY, MINUTE, STEP_US, WAITS
from z4j.store.rollups import downsampling
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


Measure = Literal["both", "ran", "waited"]
BUCKETS: Final[dict[Measure, dict[str, int]]] = {
    "both": {"first": 0, "after": 2 * WAITS}, "ran": {"first": 0, "after": WAITS}, "waited": {"first": WAITS, "after": 2 * WAITS},
}  # fmt: skip
"""The buckets of a histogram that are read."""


CHUNK_US: Final = 10 * STEP_US[MINUTE]
"""The slots in which minutes of a sum over a whole range are read and kept."""
RANGES: Final = 12
"""Ranges whose sums over the same series are kept: those of the last hours move on, and the ones before them are not read again."""
NO_SLOT: Final = 1 << 62
"""A slot that no range contains: its rows are added up and not kept."""


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


async def by_time(store: Store, ids: Iterable[int], within: Range, slot_us: int = 0) -> dict[int, Sums]:
    """Returns the sums of some series by the beginning of each slot, which is at least a step long (0: a step); slots without tasks are
    left out."""
    found: dict[int, Sums] = {}
    known = tuple(ids)
    for part in await _parts(store, within):
        for at, *sums in await _rows(store, "sum_by_time", known, part, slot_us or STEP_US[within.step]):
            _add_sums(found, at, Sums(*sums))
    return found


async def by_series(store: Store, ids: Iterable[int], within: Range) -> dict[int, Sums]:
    """Returns the sums of a range by series; hours without tasks are omitted."""
    rows: list[Row] = []
    known = tuple(ids)
    for part in await _few_parts(store, within):
        rows += await _whole_rows(store, "sum_by_series", known, part)
    return {id: Sums(*sums) for id, *sums in _added(rows, 1)}


async def histograms_by_time(
    store: Store, ids: Iterable[int], within: Range, slot_us: int = 0, measure: Measure = "both"
) -> dict[int, Histograms]:
    """Returns the histograms of some series by the beginning of each slot, as `by_time`."""
    found: dict[int, Histograms] = {}
    known = tuple(ids)
    for part in await _parts(store, within):
        _add_histograms(found, await _rows(store, "histogram_by_time", known, part, slot_us or STEP_US[within.step], measure))
    return found


async def histograms_by_series(store: Store, ids: Iterable[int], within: Range, measure: Measure = "both") -> dict[int, Histograms]:
    """Returns the histograms of a range by series."""
    found: dict[int, Histograms] = {}
    known = tuple(ids)
    for part in await _few_parts(store, within):
        _add_histograms(found, await _whole_rows(store, "histogram_by_series", known, part, measure))
    return found


async def _whole_rows(store: Store, block: str, ids: tuple[int, ...], part: Range, measure: Measure | None = None) -> Iterable[Row]:
    """The rows of a block that adds up a whole range, without the slot. The sum of the steps that lie in it whole is kept: of hours and
    days until the range moves on; minutes, which move on all the time, in slots that make up the sum."""
    is_fine, stamp = part.step == MINUTE, store.stamp
    length, slot_us = (CHUNK_US, CHUNK_US) if is_fine else (STEP_US[part.step], NO_SLOT)
    first, last = -(-part.since // length) * length if is_fine else part.since // length * length, part.until // length * length
    if not ids or last <= first:
        return [row[1:] for row in await _rows(store, block, ids, part, NO_SLOT, measure)]
    inside, key, both = Range(part.step, first, last), (block, measure, part.step, "whole", ids), first << 62 | last
    whole = store.sum_cache.find(key, part.step, {both: inside.times}).get(both)
    if whole is None:
        rows = [row[1:] for row in await _rows(store, block, ids, inside, slot_us, measure)]
        whole = _added(rows, 2 if measure else 1) if is_fine else rows
        store.sum_cache.keep(key, stamp, {both: whole})
        store.sum_cache.forget_but(key, RANGES)
    ends = [each for each in (Range(part.step, part.since, first), Range(part.step, last, part.until)) if each.since < each.until]
    return [*whole, *[row[1:] for each in ends for row in await _rows(store, block, ids, each, NO_SLOT, measure)]]


def _added(rows: Iterable[Row], width: int) -> list[Row]:
    """Rows whose first `width` columns are equal are added up."""
    found: dict[Row, list[int] | Row] = {}
    for row in rows:
        key, old = row[:width], found.get(row[:width])
        found[key] = row[width:] if old is None else [*map(add, old, row[width:])]
    return [(*key, *values) for key, values in found.items()]


async def _rows(
    store: Store, block: str, ids: tuple[int, ...], part: Range, slot_us: int, measure: Measure | None = None
) -> list[Row]:  # fmt: skip
    """The rows of a block, whose first column is the beginning of a slot. Slots that lie in the range whole are kept for the next time."""
    if not ids:
        return []
    whole, others = _slots(part, slot_us)
    key, stamp = (block, measure, part.step, slot_us, ids), store.stamp
    known = store.sum_cache.find(key, part.step, whole)
    missing = [at for slot, times in whole.items() if slot not in known for at in times] + others
    rows: list[Row] = []
    if missing:
        params = {"ids": json.dumps(ids), "step": part.step, "times": json.dumps(missing), "slot": slot_us}
        rows = await store.fetch_all(SQL[block], params | (BUCKETS[measure] if measure else {}))
        read: dict[int, list[Row]] = {slot: [] for slot in whole if slot not in known}
        for row in rows:
            if row[0] in read:
                read[row[0]].append(row)
        store.sum_cache.keep(key, stamp, read)
        store.sum_cache.forget_before(key, min(whole, default=0))
    return [*chain.from_iterable(known.values()), *rows]


def _slots(part: Range, slot_us: int) -> tuple[dict[int, list[int]], list[int]]:
    """The steps of a range by slot, of slots that lie in it whole; and the other steps."""
    length = STEP_US[part.step]
    slots: dict[int, list[int]] = {}
    for at in part.times:
        slots.setdefault(at // slot_us * slot_us, []).append(at)
    whole = {slot: times for slot, times in slots.items() if len(times) == slot_us // length}
    return whole, [at for slot, times in slots.items() if slot not in whole for at in times]


async def _parts(store: Store, within: Range) -> list[Range]:
    """A range, and the minutes that are not part of its steps yet."""
    if within.step == MINUTE:
        return [within]
    length = STEP_US[within.step]
    until = -(-within.until // length) * length  # a step that the range only touches counts whole
    last = await store.fetch_one(SQL["last_minute"])
    until = min(until, last[0] + STEP_US[MINUTE]) if last and last[0] is not None else 0
    rolled = max(await downsampling.rolled_until(store), within.since // length * length)
    return [within, Range(MINUTE, rolled, until)] if rolled < until else [within]


async def _few_parts(store: Store, within: Range) -> list[Range]:
    """The same for a sum over the whole range: the next longer steps where they lie in it whole, which are fewer."""
    whole, *minutes = await _parts(store, within)
    if whole.step == DAY:
        return [whole, *minutes]
    longer = whole.step + 1
    length = STEP_US[longer]
    rolled, since = await downsampling.rolled_until(store), -(-whole.since // length) * length
    # A longer step has no minutes after that boundary yet, so one that the range ends in may be read if the boundary lies in the range.
    until = rolled if rolled <= whole.until else whole.until // length * length
    horizon = await store.fetch_one(SQL["latest_horizon"], {"step": longer})
    if since >= until or (horizon and horizon[0] is not None and horizon[0] > since):
        return [whole, *minutes]
    parts = [Range(whole.step, whole.since, since), Range(longer, since, until), *minutes]
    if whole.step == MINUTE or rolled > whole.until:
        parts.append(Range(whole.step, until, whole.until))
    return [part for part in parts if part.since < part.until]


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


async def of_worker(store: Store, app_id: int, worker_id: int, within: Range, slot_us: int = 0) -> dict[int, WorkerSums]:
    """Returns the sums of one worker by the beginning of each slot, as `by_time`."""
    found: dict[int, WorkerSums] = {}
    slot = {"slot": slot_us or STEP_US[within.step]}
    for part in await _parts(store, within):
        params = {"app_id": app_id, "worker_id": worker_id, "step": part.step, "times": json.dumps(part.times)}
        for at, *sums in await store.fetch_all(SQL["worker_by_time"], params | slot):
            found[at] = WorkerSums(*map(add, found.get(at, NO_WORK), sums))
    return found


NO_WORK = WorkerSums(0, 0, 0)


class QueueReport(NamedTuple):
    """What brokers reported of a queue during the last step of a slot, all brokers together. `depth` is the last report, `oldest_us` the
    largest age of the oldest task in the whole slot; None: not reported."""

    depth: int
    depth_mean: float
    depth_max: int
    oldest_us: int | None
    delayed: int | None
    dead: int | None


async def of_queue(
    store: Store, app_id: int, environment_id: int, engine_id: int, queue_id: int, within: Range, broker_id: int | None = None,
    slot_us: int = 0,
) -> dict[int, QueueReport]:  # fmt: skip
    """Returns what was reported of a queue, by the beginning of each slot, which is at least a step long (0: a step); of one broker, or of
    all."""
    params = {
        "app_id": app_id, "environment_id": environment_id, "engine_id": engine_id, "queue_id": queue_id, "step": within.step,
        "times": json.dumps(within.times),
    }  # fmt: skip
    slot_us = slot_us or STEP_US[within.step]
    last: dict[int, tuple[int, list[Row]]] = {}
    ages: dict[int, int] = {}
    for row in await store.fetch_all(SQL["queue_by_time"], params):
        if broker_id is None or row[1] == broker_id:
            at, oldest_us = row[0], row[6]
            slot = at // slot_us * slot_us
            known = last.get(slot)
            if known is None or at > known[0]:
                last[slot] = (at, [row])
            elif at == known[0]:
                known[1].append(row)
            if oldest_us is not None and oldest_us > ages.get(slot, -1):
                ages[slot] = oldest_us
    return {slot: _report(rows, ages.get(slot)) for slot, (_, rows) in last.items()}


def _report(rows: list[Row], oldest_us: int | None) -> QueueReport:
    """What the brokers reported in one step, together."""
    return QueueReport(
        sum(row[5] for row in rows), sum(row[3] / row[2] for row in rows), sum(row[4] for row in rows), oldest_us,
        _sum(row[7] for row in rows), _sum(row[8] for row in rows),
    )  # fmt: skip


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _add_histograms(found: dict[int, Histograms], rows: Iterable[Row]) -> None:
    before: int | None = None
    ran: dict[int, int] = {}
    waited: dict[int, int] = {}
    for key, bucket, tasks in rows:  # those of one key follow each other
        if not tasks:
            continue
        if key != before:
            before = key
            ran, waited = found[key] if key in found else found.setdefault(key, Histograms({}, {}))
        if bucket < WAITS:
            ran[bucket] = ran.get(bucket, 0) + tasks
        else:
            waited[bucket - WAITS] = waited.get(bucket - WAITS, 0) + tasks
