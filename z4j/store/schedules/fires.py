# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores due times and their results: reported by agents, decided by z4j's own scheduler, or missed. Times are microseconds UTC."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from z4j.rules.schedules.schedule_health import GRACE, NEAR, REPORTED, grace_of
from z4j.rules.tasks.states import FINAL_CODES
from z4j.store.fleet import processes
from z4j.store.operations.value_encryption import SealError
from z4j.store.schedules import schedules
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Store
from z4j.store.tasks import task_ids
from z4j.wire.records import Fired, shown

_log = logging.getLogger("z4j.store")
SQL = sql.load("schedules/fires")
OPEN_AT_ONCE: Final = 20_000
STRIP: Final = 50


@dataclass(frozen=True, slots=True)
class FireRow:
    """One due time of a schedule and what came of it."""

    id: int
    schedule_id: int
    due_at: int
    boot: str
    fired_at: int | None
    outcome: str
    is_late: bool
    is_double: bool
    task_id: str
    error: str


class LastFire(NamedTuple):
    """The same for lists of all schedules; the flags are 0 or 1."""

    due_at: int
    fired_at: int | None
    outcome: str
    is_late: int
    is_double: int
    task_id: str
    error: str


@dataclass(frozen=True, slots=True)
class OpenFire:
    """An own fire that waits for an agent, or for its answer, and everything its command needs."""

    id: int
    schedule_id: int
    due_at: int
    outcome: str
    task_id: str
    spool: str
    expires_at: int
    environment: str
    engine: str
    task_name: str
    args: str
    kwargs: str
    queue: str
    catch_up: str
    broker: str = ""
    """The identity of the broker it makes its task in, "" for any that has it."""


def record_fired(db: Connection, app_id: int, record: Fired, at: int) -> None:
    """Records a fire that a process of a scheduler reported."""
    facts, run = record.facts, processes.process_of(db, app_id, record.run)
    boot = processes.split_process_token(record.run)[0]
    place = {"app_id": app_id, "environment": run.environment, "scheduler": facts.scheduler, "key": facts.schedule}
    if facts.scheduler == schedules.OWN or facts.outcome not in REPORTED:
        return
    row = db.execute(schedules.SQL["find_schedule"], place).fetchone()
    if row is None:
        db.execute(schedules.SQL["put_unlisted"], place | {"at": at})
        row = db.execute(schedules.SQL["find_schedule"], place).fetchone()
    id, kind, expression, zone, anchor, _next_at, scheduler = row
    due_at = record.at if facts.due_at is None else facts.due_at
    timing = schedules.timing_of(scheduler, kind, expression, zone, due_at if kind == "interval" else anchor)
    period = timing.period_us(due_at) if kind != "other" else None
    near = int((period or 2) * NEAR)
    about = {"schedule_id": id, "after": due_at - near, "before": due_at + near}
    is_double = False
    if facts.outcome == "sent":
        other = db.execute(SQL["find_other"], about | {"boot": boot, "app_id": app_id}).fetchone()
        # One that has gone was followed by this one; that is a restart, unless both fired the very same time.
        is_double = other is not None and (bool(other[2]) or other[1] == due_at)
        db.execute(SQL["drop_missed"], about)
    db.execute(
        SQL["put_fire"],
        {
            "schedule_id": id, "due_at": due_at, "boot": boot, "fired_at": record.at if facts.outcome == "sent" else None,
            "outcome": facts.outcome, "is_late": int(record.at - due_at > tick_grace(db, app_id, scheduler, boot)),
            "is_double": int(is_double), "task_id": facts.task_id, "error": shown(facts.error, 500),
        },
    )  # fmt: skip
    db.execute(
        schedules.SQL["put_fired"],
        {"id": id, "at": record.at, "due_at": due_at, "next_at": timing.after(due_at) if kind != "other" else None},
    )


def tick_grace(db: Connection, app_id: int, scheduler: str, boot: str) -> int:
    """Returns how late fires of this process may be, in microseconds."""
    row = db.execute(SQL["tick_of"], {"app_id": app_id, "scheduler": scheduler, "boot": boot}).fetchone()
    return grace_of(row[0]) if row else GRACE


def put_missed(db: Connection, schedule_id: int, due_at: int, error: str) -> None:
    """Records a due time without a report as missed. A later report replaces it."""
    db.execute(SQL["put_missed"], {"schedule_id": schedule_id, "due_at": due_at, "error": error})


# -- z4j's own -------------------------------------------------------------------------------------------------------------
def add_own(
    db: Connection, schedule_id: int, due_at: int, outcome: str, *,
    task_id: str = "", error: str = "", spool: str | None = None, fired_at: int | None = None, expires_at: int | None = None,
) -> int | None:  # fmt: skip
    """Records the decision on a due time. Returns the row id of the fire, or None if it was decided before."""
    row = db.execute(
        SQL["add_own"],
        {
            "schedule_id": schedule_id, "due_at": due_at, "outcome": outcome, "task_id": task_id, "error": error, "spool": spool,
            "fired_at": fired_at, "expires_at": expires_at,
        },
    ).fetchone()  # fmt: skip
    return int(row[0]) if row else None


def is_running(db: Connection, schedule_id: int, app_id: int, engine: str, due_at: int) -> str:
    """Returns the id of the task of the previous fire if that task is not known to have ended; else ""."""
    row = db.execute(SQL["last_task"], {"schedule_id": schedule_id, "due_at": due_at}).fetchone()
    if row is None or row[1] not in ("waiting", "handed", "sent"):
        return ""
    params = {"task_id": task_ids.encode(row[0]), "app_id": app_id, "engine": engine}
    state = db.execute(SQL["task_state"], params).fetchone()
    return "" if state is not None and state[0] in FINAL_CODES else str(row[0])


def supersede(db: Connection, schedule_id: int, due_at: int) -> None:
    """Ends older fires that still wait, in favour of the one of `due_at`."""
    db.execute(SQL["supersede"], {"schedule_id": schedule_id, "due_at": due_at, "error": "a newer run was due before an agent connected"})


async def list_open(store: Store, app_id: int) -> list[OpenFire]:
    """Lists the fires of z4j's own schedules of an app that wait or have no result yet, by due time."""
    open_fires = []
    for row in await store.fetch_all(SQL["list_open"], {"app_id": app_id, "limit": OPEN_AT_ONCE}):
        *facts, app, key, sealed = row
        try:
            facts[10:12] = schedules.open_arguments(store.seal, app, key, facts[10], facts[11], sealed)
        except SealError as error:
            _log.error("fire %s was not sent: %s", facts[0], error)
            continue
        open_fires.append(OpenFire(*facts))
    return open_fires


def mark_sent(db: Connection, ids: Iterable[str], spool: str, at: int, expires_at: int) -> set[str]:
    """Marks the fires with these task ids as sent to one spool folder: no agent of another folder gets them afterwards. The result is
    expected until `expires_at`. Returns the task ids of the fires that still waited; the others must not be sent."""
    params = {"task_ids": json.dumps(list(ids)), "spool": spool, "at": at, "expires_at": expires_at}
    return {row[0] for row in db.execute(SQL["mark_sent"], params)}


def finish_own(db: Connection, app_id: int, task_id: str, status: str, error: str, spool: str | None = None) -> bool:
    """Stores the result of the fire that makes this task, as reported by an agent of this app. False where that is no news, or where the
    fire was sent to another spool folder; without `spool` any folder is accepted."""
    outcome = {"done": "sent", "unknown": "unknown", "expired": "missed"}.get(status, "failed")
    about = {"task_id": task_id, "app_id": app_id, "outcome": outcome, "error": shown(error, 500), "spool": spool}
    return status != "accepted" and bool(db.execute(SQL["finish_own"], about).fetchall())


def expire_own(db: Connection, at: int) -> int:
    """Ends fires that no agent executed or answered in time. Returns how many."""
    return len(db.execute(SQL["expire_own"], {"at": at}).fetchall())


# -- reading ---------------------------------------------------------------------------------------------------------------
NEWEST: Final = 1 << 62


async def list_fires(store: Store, schedule_id: int, *, before: int = NEWEST, limit: int = STRIP) -> list[FireRow]:
    """Lists the fires of one schedule, newest due time first."""
    rows = await store.fetch_all(SQL["list_fires"], {"schedule_id": schedule_id, "before": before, "limit": limit})
    return [_fire(row) for row in rows]


async def list_latest(store: Store, each: int) -> dict[int, list[LastFire]]:
    """Returns schedule row id → its last `each` fires, newest first."""
    latest: dict[int, list[LastFire]] = {}
    for row in await store.fetch_all(SQL["list_latest"], {"each": each}):
        fires = latest.setdefault(row[0], [])
        if len(fires) < each:  # several may have the due time of the last one
            fires.append(LastFire._make(row[1:]))
    return latest


async def schedule_of_task(store: Store, app_id: int, task_id: str) -> tuple[int, str, int] | None:
    """Returns (row id, name, due time) of the schedule that created a task, or None."""
    row = await store.fetch_one(SQL["schedule_of_task"], {"app_id": app_id, "task_id": task_id})
    return None if row is None else (row[0], row[1], row[2])


def delete_old(db: Connection, before: int, limit: int = 500) -> int:
    """Deletes fires due before `before` (microseconds UTC), at most `limit`. Returns how many."""
    return db.execute(SQL["delete_old"], {"before": before, "limit": limit}).rowcount


def _fire(row: tuple[object, ...]) -> FireRow:
    id, schedule_id, due_at, boot, fired_at, outcome, is_late, is_double, task_id, error = row
    return FireRow(id, schedule_id, due_at, boot, fired_at, outcome, bool(is_late), bool(is_double), task_id, error)  # type: ignore[arg-type]
