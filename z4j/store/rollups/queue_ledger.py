# SPDX-License-Identifier: AGPL-3.0-or-later
"""Maintains the ledger of each queue in the transaction that changes its tasks: tasks by the hour of their first sight and current
state."""

from __future__ import annotations

from typing import Final, NamedTuple

from z4j.rules.findings.finding import Scope
from z4j.rules.history.queue_ledger import LedgerHour
from z4j.rules.rollups import HOUR_US
from z4j.rules.tasks.states import FINAL_CODES, STATES
from z4j.store.rollups import rollup_deletion, rollup_writer
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Store
from z4j.store.tasks import task_ids
from z4j.store.tasks.task_columns import TaskColumns

SQL = sql.load("rollups/queue_ledger")

STEP: Final = 3
"""Of its horizon, beside those of the sums per minute, hour and day."""
KEPT_US: Final = 26 * HOUR_US
SOME: Final = 100
LOOKED_AT: Final = 2_000
"""Maximum oldest queued tasks, of any queue, that are read to find those of one."""
SENT, QUEUED, WAITING, RUNNING, ENDED, UNMONITORED = range(6)
COLUMNS: Final = ("sent", "queued", "waiting", "running", "ended", "unmonitored")
_COLUMN: Final = dict.fromkeys(FINAL_CODES, ENDED) | {
    STATES["queued"]: QUEUED, STATES["running"]: RUNNING, STATES["scheduled"]: WAITING, STATES["received"]: WAITING,
    STATES["retrying"]: WAITING,
}  # fmt: skip

_Key = tuple[int, ...]


class LedgerChanges:
    """Collects the changes of one batch. Call `write` at the end."""

    def __init__(self) -> None:
        self._hours: dict[_Key, list[int]] = {}

    def add(self, app_id: int, engine_id: int, old: TaskColumns | None, new: TaskColumns | None) -> None:
        """Adds the change of a task from the columns `old` to `new`; None: no such row."""
        if old is not None and new is not None and _is_same_place(old, new):  # most changes
            self._move(app_id, engine_id, old, new)
            return
        before = None if old is None else _place(app_id, engine_id, old)
        after = None if new is None else _place(app_id, engine_id, new)
        if before != after:
            self._count(before, -1)
            self._count(after, 1)

    def _count(self, place: tuple[_Key, int] | None, sign: int) -> None:
        if place is not None:
            key, column = place
            hour = self._of(key)
            hour[column] += sign
            if column != UNMONITORED:
                hour[SENT] += sign

    def _move(self, app_id: int, engine_id: int, old: TaskColumns, new: TaskColumns) -> None:
        """Counts a task in another column of the same queue and hour."""
        before, after = _column(old), _column(new)
        if before != after and new.queue_id:
            hour = self._of((app_id, new.environment_id, engine_id, new.queue_id, new.first_at // HOUR_US * HOUR_US))
            hour[before] -= 1
            hour[after] += 1
            hour[SENT] += (before == UNMONITORED) - (after == UNMONITORED)

    def _of(self, key: _Key) -> list[int]:
        hour = self._hours.get(key)
        if hour is None:
            hour = self._hours[key] = [0] * len(COLUMNS)
        return hour

    def write(self, db: Connection) -> None:
        """Writes the sums, at the latest before the commit."""
        before = rollup_writer.horizon(db, rollup_writer.EVERY_APP, STEP)
        sums = {key: tuple(hour) for key, hour in self._hours.items() if key[4] >= before and any(hour)}
        if sums:
            db.add_sums(SQL["add_to_ledger"], sums)


def _is_same_place(old: TaskColumns, new: TaskColumns) -> bool:
    return old.first_at == new.first_at and old.queue_id == new.queue_id and old.environment_id == new.environment_id


def _column(row: TaskColumns) -> int:
    return UNMONITORED if row.enqueued_at is None else _COLUMN[row.state]


def _place(app_id: int, engine_id: int, row: TaskColumns) -> tuple[_Key, int] | None:
    """The queue and hour of a task, and the column that it is counted in."""
    if not row.queue_id:
        return None
    return (app_id, row.environment_id, engine_id, row.queue_id, row.first_at // HOUR_US * HOUR_US), _column(row)


async def read_ledger(store: Store, scope: Scope, queue: str, since: int) -> list[LedgerHour]:
    """Returns the hours of a queue from a time on (microseconds UTC), the oldest first; hours without tasks are omitted."""
    params = {**scope._asdict(), "queue": queue, "since": since}
    return [LedgerHour(*row) for row in await store.fetch_all(SQL["read_ledger"], params) if any(row[1:])]


async def read_beginning(store: Store) -> int:
    """Returns the time of the first available hour."""
    row = await store.fetch_one(SQL["read_beginning"], {"step": STEP})
    return row[0] if row else 0


class QueuedTask(NamedTuple):
    """A queued task: row id, id of its engine, name, and when it was first seen (microseconds UTC)."""

    id: int
    task_id: str
    name: str
    first_at: int


async def list_queued(store: Store, scope: Scope, queue: str, since: int, limit: int) -> list[QueuedTask]:
    """Lists the oldest queued tasks of a queue that were first seen since a time; fewer if other queues have many older ones."""
    params = {**scope._asdict(), "queue": queue, "since": since, "limit": limit, "looked_at": LOOKED_AT}
    return [
        QueuedTask(id, task_ids.decode(task_id), name, at) for id, task_id, name, at in await store.fetch_all(SQL["list_queued"], params)
    ]


def delete_old(db: Connection, before: int) -> bool:
    """Deletes some hours before a time. Returns whether there may be more. A late event never creates them again."""
    rollup_deletion.move_horizon(db, rollup_writer.EVERY_APP, STEP, before)
    return db.execute(SQL["delete_old"], {"before": before, "limit": SOME}).rowcount == SOME
