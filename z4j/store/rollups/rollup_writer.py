# SPDX-License-Identifier: AGPL-3.0-or-later
"""Adds changed tasks to the sums per minute, hour and day, in the transaction that changes them; `task_changes` calls it.

Only minutes are written with the tasks; `rolling` adds them to hours and days some minutes later. News of a minute that was added
already are added to all three.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from z4j.rules import rollups
from z4j.rules.rollups import MINUTE, MINUTE_US, STEP_US, Share
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


class RollupChanges:
    """What the changed tasks of one batch change. Call `write` at the end."""

    def __init__(self) -> None:
        self._sums: dict[_Key, list[int]] = {}
        self._buckets: dict[tuple[_Key, int], int] = {}
        self._workers: dict[tuple[int, int, int], list[int]] = {}

    def add(self, app_id: int, engine_id: int, old: TaskColumns | None, new: TaskColumns | None) -> None:
        """Notes that a task had the columns `old` and has `new`; None: there is no such row."""
        if old is None or new is None:
            if old is not None:
                self._count(app_id, engine_id, old, -1, (True, True, True))
            if new is not None:
                self._count(app_id, engine_id, new, 1, (True, True, True))
            return
        is_moved = old.name_id != new.name_id or old.queue_id != new.queue_id or old.environment_id != new.environment_id
        is_elsewhere = is_moved or old.boot_id != new.boot_id
        changed = (
            is_moved or old.enqueued_at != new.enqueued_at,
            (new.started_at is not None and (is_elsewhere or _of_start(old) != _of_start(new))) or new.started_at != old.started_at,
            is_elsewhere or old.state_key != new.state_key or old.state_at != new.state_at or old.runtime_us != new.runtime_us
            or old.worker_id != new.worker_id,
        )  # fmt: skip
        self._count(app_id, engine_id, old, -1, changed)
        self._count(app_id, engine_id, new, 1, changed)

    def _count(self, app_id: int, engine_id: int, row: TaskColumns, sign: int, which: tuple[bool, bool, bool]) -> None:
        place = (app_id, row.environment_id, engine_id, row.name_id, row.queue_id)
        is_enqueue, is_start, is_end = which
        if is_enqueue and row.enqueued_at is not None:
            self._add((row.enqueued_at // MINUTE_US, place, 0), rollups.AT_ENQUEUE, sign)
        if is_start and row.started_at is not None:
            self._add((row.started_at // MINUTE_US, place, row.boot_id), rollups.at_start(row.start_attempt or 0, _waited(row)), sign)
        if is_end and row.state in FINAL_CODES:
            self._add((row.state_at // MINUTE_US, place, row.boot_id), rollups.at_end(row.state, row.runtime_us), sign)
            if row.worker_id:
                sums = self._workers.setdefault((row.state_at // MINUTE_US, app_id, row.worker_id), [0, 0, 0])
                sums[0] += sign
                sums[1] += sign * (row.state == _FAILED)
                sums[2] += sign * (row.runtime_us or 0)

    def _add(self, key: _Key, share: Share, sign: int) -> None:
        sums = self._sums.get(key)
        if sums is None:
            sums = self._sums[key] = [0] * len(rollups.COLUMNS)
        for column, value in share.sums:
            sums[column] += sign * value
        if share.bucket >= 0:
            bucket = (key, share.bucket)
            self._buckets[bucket] = self._buckets.get(bucket, 0) + sign

    def write(self, db: Connection) -> None:
        """Writes the sums, at the latest before the commit."""
        sums: _Sums = {}
        buckets: _Sums = {}
        workers: _Sums = {}
        rows: dict[_Key, list[tuple[int, int, int]]] = {}
        steps: dict[tuple[int, int], tuple[tuple[int, int], ...]] = {}
        for key, values in self._sums.items():
            minute, place, boot_id = key
            if (of_minute := steps.get((place[0], minute))) is None:
                of_minute = steps[place[0], minute] = steps_of(db, place[0], minute)
            id, total = series_of(db, place, release_of(db, boot_id)), total_of(db, *place[:3])
            rows[key] = mine = [(step, at, each) for step, at in of_minute for each in (id, total)]
            for row in mine:
                _plus(sums, row, values)
        for (key, bucket), tasks in self._buckets.items():
            for row in rows[key]:
                _plus(buckets, (*row, bucket), [tasks])
        for (minute, app_id, worker_id), values in self._workers.items():
            for step, at in steps_of(db, app_id, minute):
                _plus(workers, (step, at, app_id, worker_id), values)
        for statement, changes in (("add_to_rollup", sums), ("add_to_bucket", buckets), ("add_to_worker", workers)):
            if changes:
                db.add_sums(SQL[statement], {key: tuple(values) for key, values in changes.items() if any(values)})


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
    """Returns the minute before which minutes were added to their hour and day; see `rolling`."""
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
    if old is None:
        sums[key] = values.copy()
    else:
        for column, value in enumerate(values):
            if value:
                old[column] += value


def _of_start(row: TaskColumns) -> tuple[int | None, ...]:
    return row.start_attempt, row.started_at, row.enqueued_at, row.eta_attempt, row.eta_at, row.received_attempt, row.received_at


def _waited(row: TaskColumns) -> int | None:
    attempt = row.start_attempt or 0
    if not attempt and row.eta_at is None and row.enqueued_at is not None and row.started_at is not None:
        return max(0, row.started_at - row.enqueued_at)  # almost always
    return rollups.waited_us(
        attempt, row.enqueued_at, row.eta_at if row.eta_attempt == attempt else None,
        row.received_at if row.received_attempt == attempt else None, row.started_at,
    )  # fmt: skip
