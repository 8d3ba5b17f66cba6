# SPDX-License-Identifier: AGPL-3.0-or-later
"""Adds changed tasks to the sums per minute, hour and day, in the transaction that changes them; `task_changes` calls it.

Only minutes are written with the tasks; `downsampling` adds them to hours and days some minutes later. News of a minute that was added
already are added to all three.
"""

from __future__ import annotations

from operator import add
from typing import Final, NamedTuple

from z4j.rules import rollups
from z4j.rules.rollups import MINUTE, MINUTE_US, STEP_US
from z4j.rules.tasks.states import FINAL_CODES, STATES
from z4j.store.names import name_limits, names
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection
from z4j.store.tasks.task_columns import TaskColumns

SQL = sql.load("rollups/rollup_writer")

SERIES_LIMIT: Final = 10_000
"""Series of one app. Beyond it a new combination of name, queue and release is counted under the name `OTHERS`."""
EVERY_APP: Final = 0
"""In place of an app: all of them."""
RELEASES_LIMIT: Final = 50_000
"""Processes whose release is remembered."""
_SERIES: Final = "series"
_COUNTS: Final = "series of apps"
_RELEASES: Final = "counted releases"
_HORIZONS: Final = "rollup horizons"
_ROLLED: Final = (-1, 0)
"""The key of `rolled_until` among the horizons."""
_FAILED: Final = STATES["failed"]

Place = tuple[int, int, int, int, int]
"""App, environment, engine, name, queue."""
_Key = tuple[int, Place, int]
"""Minute, place, and the boot whose release counts (0: none)."""
_Change = tuple[list[int], dict[int, int]]
"""The sums in the order of `rollups.COLUMNS`, and the tasks of each bucket; -1: of no bucket."""
OF_START: Final = slice(TaskColumns._fields.index("enqueued_at"), TaskColumns._fields.index("started_at") + 1)
"""Columns that say when a task started and how long it had waited."""
OF_END: Final = slice(0, TaskColumns._fields.index("runtime_us") + 1)
"""Columns that say how, when and where a task ended, and for how long it ran."""


class RollupChanges:
    """What changed tasks change. They are collected over all steps of a commit, and the rows that they concern are looked up once, by
    `write`, which `Connection.add_late` calls."""

    def __init__(self) -> None:
        self._changes: dict[_Key, _Change] = {}
        self._workers: dict[tuple[int, int, int], list[int]] = {}

    def add(self, before: Place | None, old: TaskColumns | None, after: Place | None, new: TaskColumns | None) -> None:
        """Notes that a task had the columns `old` in the place `before` and has `new` in `after`; None: there is no such row."""
        if before is None or old is None:
            self._count(after, new, 1)
        elif after is None or new is None:
            self._count(before, old, -1)
        else:
            is_moved = before != after
            is_elsewhere = is_moved or old.boot_id != new.boot_id
            if is_moved or old.enqueued_at != new.enqueued_at:
                self._enqueue(before, old, -1)
                self._enqueue(after, new, 1)
            if old[OF_START] != new[OF_START] or (is_elsewhere and new.started_at is not None):
                self._start(before, old, -1)
                self._start(after, new, 1)
            if is_moved or old[OF_END] != new[OF_END]:
                self._end(before, old, -1)
                self._end(after, new, 1)

    def _count(self, place: Place | None, row: TaskColumns | None, sign: int) -> None:
        if place is not None and row is not None:
            self._enqueue(place, row, sign)
            self._start(place, row, sign)
            self._end(place, row, sign)

    def _enqueue(self, place: Place, row: TaskColumns, sign: int) -> None:
        if (at := row.enqueued_at) is not None:
            rollups.count_enqueue(self._of((at // MINUTE_US, place, 0))[0], sign)

    def _start(self, place: Place, row: TaskColumns, sign: int) -> None:
        if (at := row.started_at) is not None:
            sums, buckets = self._of((at // MINUTE_US, place, row.boot_id))
            bucket = rollups.count_start(sums, sign, row.start_attempt or 0, _waited(row))
            buckets[bucket] = buckets.get(bucket, 0) + sign

    def _end(self, place: Place, row: TaskColumns, sign: int) -> None:
        state = row.state
        if state not in FINAL_CODES:
            return
        minute, runtime_us, worker_id = row.state_at // MINUTE_US, row.runtime_us, row.worker_id
        sums, buckets = self._of((minute, place, row.boot_id))
        bucket = rollups.count_end(sums, sign, state, runtime_us)
        buckets[bucket] = buckets.get(bucket, 0) + sign
        if worker_id:
            of_worker = (minute, place[0], worker_id)
            known = self._workers.get(of_worker)
            if known is None:
                known = self._workers[of_worker] = [0, 0, 0]
            known[0] += sign
            known[1] += sign * (state == _FAILED)
            known[2] += sign * (runtime_us or 0)

    def _of(self, key: _Key) -> _Change:
        change = self._changes.get(key)
        if change is None:
            change = self._changes[key] = [0] * len(rollups.COLUMNS), {}
        return change

    def merge(self, later: RollupChanges) -> None:
        """Adds those of a later step."""
        for key, (sums, buckets) in later._changes.items():
            mine, mine_by_bucket = self._of(key)
            mine[:] = map(add, mine, sums)
            for bucket, tasks in buckets.items():
                mine_by_bucket[bucket] = mine_by_bucket.get(bucket, 0) + tasks
        for of_worker, values in later._workers.items():
            known = self._workers.get(of_worker)
            self._workers[of_worker] = values if known is None else [*map(add, known, values)]

    def write(self, db: Connection) -> None:
        """Writes the sums."""
        sums: _Sums = {}
        buckets: dict[tuple[int, ...], int] = {}
        workers: _Sums = {}
        steps: dict[tuple[int, int], tuple[tuple[int, int], ...]] = {}
        for (minute, place, boot_id), (values, by_bucket) in self._changes.items():
            if not any(values) and not any(by_bucket.values()):
                continue  # e.g. of a task that was enqueued and deleted in one commit
            if db.run_totals is not None:
                db.run_totals.stage(place, values, by_bucket)
            if (of_minute := steps.get((place[0], minute))) is None:
                of_minute = steps[place[0], minute] = steps_of(db, place[0], minute)
            by_bucket.pop(-1, None)
            for series in (series_of(db, place, release_of(db, boot_id)), total_of(db, *place[:3])):
                for step, at in of_minute:
                    _plus(sums, (step, at, series), values)
                    for bucket, tasks in by_bucket.items():
                        key = (step, at, series, bucket)
                        buckets[key] = buckets.get(key, 0) + tasks
        for (minute, app_id, worker_id), values in self._workers.items():
            for step, at in steps_of(db, app_id, minute):
                _plus(workers, (step, at, app_id, worker_id), values)
        db.sum_cache.stage((key[0], key[1]) for changed in (sums, buckets, workers) for key in changed)
        for statement, rows in (
            ("add_to_rollup", [(*key, *values) for key, values in sums.items() if any(values)]),
            ("add_to_bucket", [(*key, tasks) for key, tasks in buckets.items() if tasks]),
            ("add_to_worker", [(*key, *values) for key, values in workers.items() if any(values)]),
        ):
            if rows:
                db.write_rows(SQL[statement], rows)


def place_of(app_id: int, engine_id: int, row: TaskColumns) -> Place:
    """Returns the place that the task with this row is counted in."""
    return (app_id, row.environment_id, engine_id, row.name_id, row.queue_id)


class QueueKey(NamedTuple):
    """A queue of one broker, by ids of names."""

    app_id: int
    environment_id: int
    engine_id: int
    queue_id: int
    broker_id: int


def add_queue_report(
    db: Connection, queue: QueueKey, at: int, depth: int, oldest_at: int | None, delayed: int | None, dead: int | None
) -> None:
    """Adds what a broker reports of a queue at a time (microseconds UTC)."""
    oldest_us = None if oldest_at is None else max(0, at - oldest_at)
    steps = [(step, at // length * length) for step, length in enumerate(STEP_US)]
    db.executemany(SQL["add_queue_report"], [(step, start, *queue, depth, oldest_us, delayed, dead) for step, start in steps])


def series_of(db: Connection, place: Place, release_id: int) -> int:
    """Returns the id of the series of a place and a release, or that of the others beyond the limit of the app."""
    app_id, environment_id, engine_id, name_id, queue_id = place
    return _series(db, (app_id, environment_id, engine_id, 0, name_id, queue_id, release_id), is_limited=True)


def total_of(db: Connection, app_id: int, environment_id: int, engine_id: int) -> int:
    """Returns the id of the series that sums up all names, queues and releases."""
    return _series(db, (app_id, environment_id, engine_id, 1, 0, 0, 0), is_limited=False)


def _series(db: Connection, key: tuple[int, ...], *, is_limited: bool) -> int:
    known: dict[tuple[int, ...], int] = db.recall(_SERIES)
    if (id := known.get(key)) is not None:
        return id
    row = db.execute(SQL["find_series"], key).fetchone()
    if row is None:
        counts: dict[int, int] = db.recall(_COUNTS)
        app_id = key[0]
        if app_id not in counts:
            counts[app_id] = db.execute(SQL["count_series"], (app_id,)).fetchone()[0]
        if is_limited and counts[app_id] >= SERIES_LIMIT:
            others = (*key[:4], names.intern(db, "name", name_limits.OTHERS), 0, 0)
            known[key] = id = _series(db, others, is_limited=False)
            return id
        row = db.execute(SQL["add_series"], key).fetchone()
        counts[app_id] += 1
    known[key] = id = int(row[0])
    return id


_MARK: Final = ()
"""In the cache of series, until it is emptied again."""


def mark_series(db: Connection) -> None:
    """Empties the cache of series, so that `series_since_mark` returns those that were used since."""
    db.recall(_SERIES).clear()
    db.recall(_SERIES)[_MARK] = 0


def series_since_mark(db: Connection) -> set[int] | None:
    """Returns the ids of series that were looked up since `mark_series`; None if the cache was emptied since."""
    known: dict[tuple[int, ...], int] = db.recall(_SERIES)
    return set(known.values()) if _MARK in known else None


def forget_counts(db: Connection) -> None:
    """Has to be called when series were deleted."""
    db.recall(_COUNTS).clear()


def release_of(db: Connection, boot_id: int) -> int:
    """Returns the release under which the tasks of a process are counted: as it was known when the first one was, so that what is taken
    out of a sum is what was added to it."""
    if not boot_id:
        return 0
    known: dict[int, int] = db.recall(_RELEASES)
    if (id := known.get(boot_id)) is not None:
        return id
    counted, release = db.execute(SQL["read_counted_release"], (boot_id,)).fetchone() or (0, 0)
    if counted is None:
        counted = release or 0
        db.execute(SQL["put_counted_release"], (counted, boot_id))
    if len(known) >= RELEASES_LIMIT:
        known.clear()
    known[boot_id] = counted
    return int(counted)


def horizon(db: Connection, app_id: int, step: int) -> int:
    """Returns the time (microseconds UTC) before which the sums of a step were deleted."""
    known: dict[tuple[int, int], int] = db.recall(_HORIZONS)
    if (0, MINUTE) not in known:
        known[0, MINUTE] = 0
        known.update({(app, step): before for app, step, before in db.execute(SQL["read_horizons"])})
    return max(known.get((EVERY_APP, step), 0), known.get((app_id, step), 0))


def forget_horizons(db: Connection) -> None:
    """Has to be called when a horizon was moved."""
    db.recall(_HORIZONS).clear()


def rolled_until(db: Connection) -> int:
    """Returns the minute before which minutes were added to their hour and day; see `downsampling`."""
    known: dict[tuple[int, int], int] = db.recall(_HORIZONS)
    if (rolled := known.get(_ROLLED)) is None:
        row = db.execute(SQL["read_rolled"]).fetchone()
        rolled = known[_ROLLED] = row[0] // MINUTE_US if row else 0
    return rolled


def steps_of(db: Connection, app_id: int, minute: int) -> tuple[tuple[int, int], ...]:
    """Returns the steps that the news of a minute are added to, as (step, its beginning): the minute alone, which is added to its hour and
    day some minutes later; of one that was, all three. Without those that were deleted."""
    at = minute * MINUTE_US
    if minute >= rolled_until(db):
        return ((MINUTE, at),) if at >= horizon(db, app_id, MINUTE) else ()
    starts = ((step, at // length * length) for step, length in enumerate(STEP_US))
    return tuple((step, start) for step, start in starts if start >= horizon(db, app_id, step))


_Sums = dict[tuple[int, ...], list[int]]


def _plus(sums: _Sums, key: tuple[int, ...], values: list[int]) -> None:
    old = sums.get(key)
    sums[key] = values if old is None else [*map(add, old, values)]


def _waited(row: TaskColumns) -> int | None:
    attempt = row.start_attempt or 0
    if not attempt and row.eta_at is None and row.enqueued_at is not None and row.started_at is not None:
        return max(0, row.started_at - row.enqueued_at)  # almost always
    return rollups.waited_us(
        attempt, row.enqueued_at, row.eta_at if row.eta_attempt == attempt else None,
        row.received_at if row.received_attempt == attempt else None, row.started_at,
    )  # fmt: skip
