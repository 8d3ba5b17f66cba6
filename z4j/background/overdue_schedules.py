# SPDX-License-Identifier: AGPL-3.0-or-later
"""Finds due times of other schedulers for which no run was reported. z4j's own scheduler: see `operations.missed_runs`."""

from __future__ import annotations

from z4j import clock
from z4j.background.lost_tasks import SETTLE_US
from z4j.background.server_events import Changed
from z4j.store.schedules import overdue
from z4j.store.sqlite.db import Store


class OverdueSchedules:
    """`changed` is called with the topics of `live` that changed."""

    def __init__(self, store: Store, changed: Changed) -> None:
        self.store, self.changed = store, changed
        self._began = clock.now()

    async def find_missed(self, at: int) -> int:
        """Stores due times that no scheduler reported as missed. Returns how many.

        Not before agents had time to reconnect after a restart.
        """
        self._began = min(self._began, at)  # the clock may be set back
        if at - self._began < SETTLE_US:
            return 0
        count = await self.store.write(lambda db: overdue.write_missed(db, at))
        if count:
            self.changed(("schedules",))
        return count
