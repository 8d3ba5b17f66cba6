# SPDX-License-Identifier: AGPL-3.0-or-later
"""Missed runs of z4j's own schedules: decides by the catch-up policy which due times are run late, and stores the others as missed.

Due times of other schedulers for which no run was reported: see `background.overdue_schedules`.
"""

from __future__ import annotations

from typing import Final

from z4j.store.schedules import fires
from z4j.store.schedules.schedules import Due
from z4j.store.sqlite.db import Connection

SECOND: Final = 1_000_000
SKIP_AFTER: Final = 60 * SECOND
"""A schedule that skips missed runs does not run later than this."""
LISTED: Final = 200
"""Missed due times that are written one by one; of more, the last says how many there were."""


def times_to_run(due: Due, times: list[int], at: int) -> list[int]:
    """Returns those of the due times that have come which are run: all, or at most the newest."""
    if due.catch_up == "all" or not times:
        return times
    is_too_late = due.catch_up == "skip" and at - times[-1] > SKIP_AFTER + due.jitter_us
    return [] if is_too_late else times[-1:]


def write_missed(db: Connection, due: Due, missed: list[int]) -> None:
    """Stores the due times that have come and are not run."""
    late = "only the newest is caught up" if due.catch_up == "once" else "too late to run; the schedule does not catch up"
    more = len(missed) - LISTED
    for number, due_at in enumerate(missed[-LISTED:]):
        reason = f"{late} ({more:,} earlier runs were skipped, too)" if more > 0 and number == 0 else late
        fires.put_missed(db, due.id, due_at, reason)
