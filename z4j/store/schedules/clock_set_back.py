# SPDX-License-Identifier: AGPL-3.0-or-later
"""Due times that were decided ahead of time, because the clock was set forward and back. Times are microseconds UTC."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from z4j.rules.schedules.due_times import Timing
from z4j.store.schedules.schedules import OWN, timing_of
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection

SQL = sql.load("schedules/clock_set_back")


@dataclass(frozen=True, slots=True)
class Ahead:
    """An own schedule that may have been decided too far ahead."""

    id: int
    timing: Timing
    next_at: int | None
    jitter_us: int


def drop_ahead(db: Connection, at: int) -> list[int]:
    """Deletes due times after `at` that were stored as missed: they have not come yet. Returns the ids of their schedules."""
    return sorted({row[0] for row in db.execute(SQL["drop_ahead"], {"at": at})})


def set_aside_ahead(db: Connection, schedule_id: int, at: int) -> None:
    """Keeps the runs of due times after `at` as runs of an earlier clock, so that the same times are due again."""
    db.execute(SQL["set_aside_ahead"], {"schedule_id": schedule_id, "at": at, "clock": f"clock before {at}"})


def list_ahead(db: Connection, at: int, ids: Iterable[int]) -> list[Ahead]:
    """Lists the own schedules that wait at `at`, and those of `ids` that have no due time any longer."""
    rows = db.execute(SQL["list_ahead"], {"at": at, "ids": json.dumps(list(ids))})
    return [Ahead(id, timing_of(OWN, *timing), next_at, jitter_us) for id, *timing, next_at, jitter_us in rows]


def reset_next(db: Connection, id: int, next_at: int, wake_at: int | None) -> None:
    """Changes the next due time of an own schedule to an earlier one, and enables a one-off that had ended."""
    db.execute(SQL["reset_next"], {"id": id, "next_at": next_at, "wake_at": wake_at})
