# SPDX-License-Identifier: AGPL-3.0-or-later
"""The table of background duties with their intervals. Each duty is a module beside this one; what repeats it is `z4j.duty_loop`.

`run` starts one loop for each duty, so one that fails or takes long does not delay another. Each looks with a reading connection and
writes only when there is something to write, so an idle server writes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from z4j import clock
from z4j.agents.reconcile import Reconcile
from z4j.background.audit_checks import AuditChecks
from z4j.background.clock_watch import ClockWatch
from z4j.background.database_checkpoint import DatabaseCheckpoint
from z4j.background.due_tasks import DueTasks
from z4j.background.error_groups import EVERY_S as GROUPS_EVERY_S
from z4j.background.error_groups import ErrorGroups
from z4j.background.lost_tasks import LostTasks
from z4j.background.nightly_backups import EVERY_S, NightlyBackups
from z4j.background.overdue_schedules import OverdueSchedules
from z4j.background.retention import RetentionDuty
from z4j.background.server_events import Changed
from z4j.background.unused_memory import EVERY_S as MEMORY_EVERY_S
from z4j.background.unused_memory import UnusedMemory
from z4j.background.word_index import WordIndexDuty
from z4j.duty_loop import WHENEVER_S, Duties, repeat
from z4j.store.access.audit import AuditLog
from z4j.store.fleet import agents
from z4j.store.rollups import downsampling
from z4j.store.sqlite.db import Store
from z4j.store.tasks.bulk_deletion import Retention

Work = Callable[[int], Awaitable[object]]


class BackgroundDuties:
    """The duties, each of which tests call alone. `changed` is called with the topics of `live` that changed."""

    def __init__(
        self,
        store: Store,
        changed: Changed,
        keep: Retention | None = None,
        log: AuditLog | None = None,
        reconcile: Reconcile | None = None,
        duties: Duties | None = None,
        backups: NightlyBackups | None = None,
    ) -> None:
        self.store = store
        self.duties = duties or Duties()
        self.due_tasks = DueTasks(store, changed)
        self.lost_tasks = LostTasks(store, changed, reconcile)
        self.overdue_schedules = OverdueSchedules(store, changed)
        self.database_checkpoint = DatabaseCheckpoint(store)
        self.audit_checks = AuditChecks(store, changed, log)
        keep = keep or Retention()
        self.retention = RetentionDuty(store, changed, keep)
        self.clock_watch = ClockWatch(store, changed, log)
        self.error_groups = ErrorGroups(store, changed, keep.errors_days)
        self.word_index = WordIndexDuty(store)
        self.unused_memory = UnusedMemory()
        self.backups = backups
        for name, every_s, _ in self.table():
            self.duties.add(name, every_s)

    def table(self) -> list[tuple[str, float, Work]]:
        """Returns (name, interval in seconds, work) of every duty."""
        nightly: list[tuple[str, float, Work]] = [("nightly backup", EVERY_S, self.backups.round)] if self.backups else []
        steady = self.clock_watch.when_steady
        return [
            ("clock", 1, self.clock_watch.round),
            *nightly,
            ("due tasks", 1, self.due_tasks.make_due),
            ("silent agents", 5, steady(self.lost_tasks.find_silent)),
            ("lost tasks", 5, steady(self.lost_tasks.find_lost)),
            ("missed fires", 5, steady(self.overdue_schedules.find_missed)),
            ("checkpoint of the database", 2, self.database_checkpoint.checkpoint),
            ("audit checkpoint", 1, self.audit_checks.sign_head),
            ("check of the audit log", 5, self.audit_checks.check_audit),
            ("hours and days", 20, self._roll),
            ("error groups", GROUPS_EVERY_S, self._group_errors),
            ("retention", 1, self._retain),
            ("index of words", 0.5, self.word_index.round),
            ("unused names", 3_600, self._sweep_names),
            ("unused memory", MEMORY_EVERY_S, self.unused_memory.round),
        ]

    async def _roll(self, at: int) -> int:
        return await downsampling.roll(self.store, at)

    async def _group_errors(self, at: int) -> int:
        return await self.error_groups.round(await self.clock_watch.trusted_at(at))

    async def _retain(self, at: int) -> int:
        return await self.retention.round(await self.clock_watch.trusted_at(at))

    async def _sweep_names(self, at: int) -> int:
        return await self.retention.sweep_names(await self.clock_watch.trusted_at(at))

    async def start(self) -> None:
        """Records the restart, before the first agent connects. Raises nothing."""
        at = clock.now()
        await self.duties.add("restart", WHENEVER_S).attempt(lambda: self.store.write(lambda db: agents.record_restart(db, at)))

    async def run(self) -> None:
        """Runs every duty at its own interval, until cancelled."""
        await self.start()
        await asyncio.gather(*(repeat(self.duties.add(name, every_s), work) for name, every_s, work in self.table()))
