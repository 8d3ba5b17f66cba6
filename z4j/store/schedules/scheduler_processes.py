# SPDX-License-Identifier: AGPL-3.0-or-later
"""The processes of each scheduler, and the health of schedules that follows from them and from their last runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from z4j.rules.schedules.schedule_health import DECISIVE, GRACE, FireFacts, Health, grace_of, health
from z4j.store.schedules import schedules
from z4j.store.schedules.fires import FireRow, LastFire
from z4j.store.schedules.schedules import ScheduleRow, SchedulerRow
from z4j.store.sqlite.db import Store


@dataclass(frozen=True, slots=True)
class SchedulerProcesses:
    """The processes of each scheduler, by (app ID, environment, scheduler)."""

    rows: dict[tuple[int, str, str], list[SchedulerRow]]

    def grace(self, row: ScheduleRow) -> int:
        """Returns how late a fire may be reported, in microseconds."""
        if row.is_own:
            return GRACE + row.jitter_us
        firing = [process for process in self.of(row) if process.is_firing]
        return grace_of(firing[0].tick_us) if firing else GRACE

    def of(self, row: ScheduleRow) -> list[SchedulerRow]:
        return self.rows.get((row.app_id, row.environment, row.scheduler), [])

    def health(self, row: ScheduleRow, latest: Sequence[FireRow | LastFire], now: int) -> Health:
        """Returns the health of a schedule."""
        grace = self.grace(row)
        firing = [process for process in self.of(row) if process.is_firing]
        is_connected = any(process.left_at is None for process in firing)
        return health(
            now, kind=row.kind, is_enabled=row.is_enabled, next_at=row.next_at, grace=grace, is_own=row.is_own, is_heard=bool(firing),
            silent_since=None if is_connected or row.is_own else max((process.left_at or 0 for process in firing), default=None),
            latest=[facts_of(fire, grace) for fire in latest[:DECISIVE]],
        )  # fmt: skip


def facts_of(fire: FireRow | LastFire, grace: int) -> FireFacts:
    """Returns a stored fire for the rules."""
    return FireFacts(fire.due_at, fire.fired_at, fire.outcome, bool(fire.is_double), grace)


async def scheduler_processes(store: Store) -> SchedulerProcesses:
    """Returns the processes of every scheduler, the connected ones first."""
    rows: dict[tuple[int, str, str], list[SchedulerRow]] = {}
    for row in await schedules.list_schedulers(store):
        rows.setdefault((row.app_id, row.environment, row.scheduler), []).append(row)
    return SchedulerProcesses(rows)
