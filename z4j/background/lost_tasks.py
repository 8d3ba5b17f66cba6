# SPDX-License-Identifier: AGPL-3.0-or-later
"""Finds agents without heartbeats, and tasks whose process has ended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from z4j.agents.reconcile import Reconcile
from z4j.background.server_events import Changed, add_events
from z4j.store.fleet import agents
from z4j.store.sqlite.db import Store
from z4j.store.tasks import stale_tasks
from z4j.store.tasks.stale_tasks import StaleTask

SECOND: Final = 1_000_000
SILENT_US: Final = 45 * SECOND
"""Three heartbeats missed."""
SETTLE_US: Final = 30 * SECOND
"""Time after the end of a connection, or after the last event of a task, before silence counts."""
ASSUMED_US: Final = 24 * 3600 * SECOND
"""A process without a proof that it has ended is assumed to have ended after a day, and the task shows that this is assumed."""

GONE = "The process of the task has ended: a newer process has the worker's name, and the spool contains no more events of the old one."
DROPPED = "Its worker is connected but no longer reports it as running, and no result was reported."
ASSUMED = "Assumed: no heartbeat from its worker for a day. It is not certain that the process has ended."


class LostTasks:
    """`reconcile` queries the engine before a task is called lost; without it nothing is queried."""

    def __init__(self, store: Store, changed: Changed, reconcile: Reconcile | None = None) -> None:
        self.store, self.changed, self.reconcile = store, changed, reconcile
        self._missing: set[StaleTask] = set()

    async def find_silent(self, at: int) -> int:
        """Records connections that sent no heartbeat for SILENT_US as gone. Returns how many."""
        count = await self.store.write(lambda db: agents.record_silence(db, at, at - SILENT_US))
        if count:
            self.changed(("workers", "strip"))
        return count

    async def find_lost(self, at: int) -> int:
        """Adds `lost` to tasks whose process is gone, and `alive` to lost ones that turn out to run. Returns how many tasks changed.

        Their engine is queried first, see `agents.reconcile`, also about tasks whose process disconnected without proof that it is gone.
        """
        why = dict.fromkeys(await stale_tasks.list_timed_out(self.store, at - ASSUMED_US), ASSUMED)
        why |= dict.fromkeys(await self._find_dropped(), DROPPED)
        why |= dict.fromkeys(await stale_tasks.list_orphaned(self.store, SETTLE_US), GONE)
        lost = [(task, "") for task in why]
        if self.reconcile is not None:
            left = [task for task in await stale_tasks.list_disconnected(self.store, at - SETTLE_US) if task not in why]
            self.reconcile.prune([*why, *left])
            lost = self.reconcile.resolve_orphans(at, list(why))
            self.reconcile.query_disconnected(at, left)
        return (
            await add_events(
                self.store,
                self.changed,
                "lost",
                [task for task, _ in lost],
                1,
                {task: _evidence(task, why[task], answer) for task, answer in lost},
            )
            # A whole millisecond later, because that is what the fold compares.
            + await add_events(self.store, self.changed, "alive", await stale_tasks.list_reappeared(self.store, at - ASSUMED_US), 1_000)
        )

    async def _find_dropped(self) -> list[StaleTask]:
        """Tasks missing from their worker's list in two rounds: a heartbeat may overtake the end it no longer lists."""
        missing = set(await stale_tasks.list_missing_from_heartbeat(self.store, SETTLE_US))
        again, self._missing = missing & self._missing, missing
        return sorted(again, key=lambda task: task.at)


def _evidence(task: StaleTask, why: str, answer: str) -> str:
    """What is known of a lost task's process, in sentences."""
    heard = f"Last seen {_clock(task.left_at)} on {task.host}: {task.left_reason or 'no shutdown reported'}." if task.left_at else ""
    return " ".join(part for part in (why, heard, answer) if part)


def _clock(at: int) -> str:
    return datetime.fromtimestamp(at / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
