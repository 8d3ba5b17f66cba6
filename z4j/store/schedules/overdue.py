# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores due times of other schedulers without a report as missed, until one is reported."""

from __future__ import annotations

from typing import Final

from z4j.rules.schedules.due_times import Timing
from z4j.rules.schedules.schedule_health import GRACE, grace_of
from z4j.store.schedules import fires, schedules
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection

SQL = sql.load("schedules/overdue")
AT_ONCE: Final = 100
"""Missed due times of one schedule that are written in one round; the next round continues."""


def write_missed(db: Connection, at: int) -> int:
    """Writes those that are past their grace by `at`, microseconds UTC. Returns how many.

    A scheduler without a report of a firing process is skipped: whether it fires is unknown.
    """
    heard: dict[tuple[int, str, str], tuple[int, int | None] | None] = {}
    missed = 0
    for id, app_id, environment, scheduler, timing, due_at in schedules.list_overdue(db, at - GRACE):
        place = (app_id, environment, scheduler)
        if place not in heard:
            row = db.execute(SQL["firing"], {"app_id": app_id, "environment": environment, "scheduler": scheduler}).fetchone()
            heard[place] = None if row is None else (grace_of(row[0]), row[1])
        if (last_heard := heard[place]) is not None:
            missed += _write(db, id, timing, due_at, at - last_heard[0], last_heard[1])
    return missed


def _write(db: Connection, id: int, timing: Timing, due_at: int, until: int, left_at: int | None) -> int:
    reason = "its scheduler was connected but did not run it" if left_at is None else "no process that runs it was connected"
    count, due = 0, due_at
    while due <= until and count < AT_ONCE:
        fires.put_missed(db, id, due, reason)
        count += 1
        following = timing.after(due) if timing.kind != "other" else None
        schedules.move_next(db, id, following)
        if following is None:
            break
        due = following
    return count
