# SPDX-License-Identifier: AGPL-3.0-or-later
"""Work without a request: tasks that become due or are lost, silent agents, checkpoints. Retention: see `background.retention`.

`run` starts one loop for each duty, so that one that fails or takes long keeps no other from running. Each looks with a reading connection
and writes only when there is something to write, so an idle server writes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from z4j import clock
from z4j.agents.ingest import ServerFact, ingest_facts
from z4j.agents.lookups import Reconcile
from z4j.background.retention import RetentionDuty
from z4j.duty import WHENEVER_S, Duties, repeat
from z4j.rules.tasks.fold import Event
from z4j.store.access.audit import Alarm, AuditLog
from z4j.store.fleet import agents
from z4j.store.schedules import overdue
from z4j.store.sqlite.db import Store
from z4j.store.tasks import stale_tasks
from z4j.store.tasks.retention import Retention
from z4j.store.tasks.stale_tasks import Held

SECOND: Final = 1_000_000
SILENT_US: Final = 45 * SECOND
"""Three heartbeats missed."""
SETTLE_US: Final = 30 * SECOND
"""After the end of a connection, or of the last news of a task, before anything is concluded from silence."""
ASSUMED_US: Final = 24 * 3600 * SECOND
"""A process that nobody has proved gone is given up after a day, and the task says that this is assumed."""
CHECKPOINT_US: Final = 30 * SECOND
WAL_BYTES: Final = 4_000_000

GONE = "Its process is gone: a newer one bears the worker's name, and the spool holds nothing more of it."
DROPPED = "Its worker is connected and does not list it any more, and no end was reported."
ASSUMED = "Assumed: its worker has not been heard of for a day. Nothing proves that the process is gone."

Work = Callable[[int], Awaitable[object]]


class Housekeeping:
    """The duties, each to be called by itself in tests. `changed` is told the topics of `live` that changed."""

    def __init__(
        self,
        store: Store,
        changed: Callable[[Iterable[str]], None],
        keep: Retention | None = None,
        log: AuditLog | None = None,
        reconcile: Reconcile | None = None,
        duties: Duties | None = None,
    ) -> None:
        self.store = store
        self.changed = changed
        self.duties = duties or Duties()
        self.retention = RetentionDuty(store, changed, keep or Retention())
        self.log = log
        self.reconcile = reconcile
        self._missing: set[Held] = set()
        self._began = clock.now()
        self._alarm: Alarm | None = None
        self._checkpoint_at = 0
        for name, every_s, _ in self.table():
            self.duties.add(name, every_s)

    def table(self) -> list[tuple[str, float, Work]]:
        """(name, interval in seconds, work) of every duty."""
        return [
            ("due tasks", 1, self.make_due),
            ("silent agents", 5, self.find_silent),
            ("lost tasks", 5, self.find_lost),
            ("missed fires", 5, self.find_missed),
            ("checkpoint of the database", 2, self.checkpoint),
            ("audit checkpoint", 1, self.sign_head),
            ("check of the audit log", 5, self.check_audit),
            ("retention", 1, self.retention.round),
            ("unused names", 3_600, self.retention.sweep_names),
        ]

    async def start(self) -> None:
        """What has to be noted once, before the first agent connects. Raises nothing."""
        at = clock.now()
        await self.duties.add("restart", WHENEVER_S).attempt(lambda: self.store.write(lambda db: agents.record_restart(db, at)))

    async def run(self) -> None:
        """Every duty at its own interval, until cancelled."""
        await self.start()
        await asyncio.gather(*(repeat(self.duties.add(name, every_s), work) for name, every_s, work in self.table()))

    async def make_due(self, at: int) -> int:
        """`scheduled` becomes `queued` when its eta has passed. Returns how many."""
        return await self._add("due", await stale_tasks.list_due(self.store, at), 0)

    async def find_lost(self, at: int) -> int:
        """Say `lost` of tasks whose process is gone, and `alive` of lost ones that turn out to run. Returns how many.

        Their engine is asked first, see `agents.lookups`; also about tasks whose process has left without proof that it is gone.
        """
        why = dict.fromkeys(await stale_tasks.list_timed_out(self.store, at - ASSUMED_US), ASSUMED)
        why |= dict.fromkeys(await self._find_dropped(), DROPPED)
        why |= dict.fromkeys(await stale_tasks.list_orphaned(self.store, SETTLE_US), GONE)
        lost = [(of, "") for of in why]
        if self.reconcile is not None:
            left = [of for of in await stale_tasks.list_disconnected(self.store, at - SETTLE_US) if of not in why]
            self.reconcile.prune([*why, *left])
            lost = self.reconcile.resolve_orphans(at, list(why))
            self.reconcile.query_disconnected(at, left)
        return (
            await self._add("lost", [of for of, _ in lost], 1, {of: _evidence(of, why[of], said) for of, said in lost})
            # A whole millisecond later, because that is what the fold compares.
            + await self._add("alive", await stale_tasks.list_reappeared(self.store, at - ASSUMED_US), 1_000)
        )

    async def _find_dropped(self) -> list[Held]:
        """Tasks missing from their worker's list in two rounds: a heartbeat may overtake the end it no longer lists."""
        missing = set(await stale_tasks.list_missing_from_heartbeat(self.store, SETTLE_US))
        again, self._missing = missing & self._missing, missing
        return sorted(again, key=lambda of: of.at)

    async def find_silent(self, at: int) -> int:
        """Note connections from which nothing comes any more as gone. Returns how many."""
        found = await self.store.write(lambda db: agents.record_silence(db, at, at - SILENT_US))
        if found:
            self.changed(("workers", "strip"))
        return found

    async def find_missed(self, at: int) -> int:
        """Due times that no scheduler has told of. Returns how many. Not before agents had time to come back after a restart."""
        if at - self._began < SETTLE_US:
            return 0
        found = await self.store.write(lambda db: overdue.write_missed(db, at))
        if found:
            self.changed(("schedules",))
        return found

    async def delete_old(self, at: int) -> int:
        """Retention, as far as one round gets. Returns how many tasks were deleted."""
        return await self.retention.round(at)

    async def sign_head(self, at: int) -> None:
        """A checkpoint over the rows that were added to the audit log: at most a second after them."""
        if self.log is not None:
            await self.log.sign_head(self.store, at)
            if self.log.alarm != self._alarm:
                self._alarm = self.log.alarm
                self.changed(("strip",))

    async def check_audit(self, at: int) -> None:
        """The whole audit log, soon after the start and once a day; sooner again while there is an alarm."""
        if self.log is not None:
            await self.log.check(self.store, at)

    async def checkpoint(self, at: int) -> None:
        """Keep the write-ahead log short: at once where much is written, else twice a minute."""
        is_time = at - self._checkpoint_at >= CHECKPOINT_US or at < self._checkpoint_at
        await self.store.checkpoint(0 if is_time else WAL_BYTES)
        if is_time:
            self._checkpoint_at = at

    async def _add(self, kind: str, found: list[Held], later_us: int, errors: Mapping[Held, str] | None = None) -> int:
        by_app: dict[int, list[ServerFact]] = {}
        for of in found:
            reason = "worker_gone" if kind == "lost" else ""
            event = Event(kind, of.attempt, of.at + later_us, of.run, of.worker, reason=reason, error=(errors or {}).get(of, ""))
            by_app.setdefault(of.app_id, []).append(ServerFact(of.engine, of.task_id, event, of.row))
        failed: Exception | None = None
        for app_id, facts in by_app.items():
            try:
                self.changed((await ingest_facts(self.store, app_id, facts)).topics)
            except Exception as error:  # the tasks of one app must not wait for those of another
                failed = error
        if failed is not None:
            raise failed
        return len(found)


def _evidence(of: Held, why: str, said: str) -> str:
    """What is known of a lost task's process, in sentences."""
    heard = f"Last heard of {_clock(of.left_at)} on {of.host}: {of.left_reason or 'no goodbye'}." if of.left_at else ""
    return " ".join(part for part in (why, heard, said) if part)


def _clock(at: int) -> str:
    return datetime.fromtimestamp(at / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
