# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads the ledger of a queue, and its unaccounted tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from z4j.rules.findings.activity import QueueActivity
from z4j.rules.findings.queue_losses import LEAST_UNACCOUNTED
from z4j.rules.history.queue_ledger import Ledger, LedgerHour, unaccounted_tasks
from z4j.rules.rollups import HOUR_US
from z4j.store.rollups import queue_ledger
from z4j.store.rollups.queue_ledger import QueuedTask
from z4j.store.sqlite.db import Store

HOURS: Final = 24
LISTED: Final = 500
"""With more unaccounted tasks, the last of them is not looked up."""


@dataclass(frozen=True, slots=True)
class QueueLedger:
    """The ledger of a queue over the last `HOURS`. `begins` is the first hour that was counted (microseconds UTC), `unaccounted` None where
    it is unknown, `listed` the oldest of these tasks."""

    begins: int
    hours: tuple[LedgerHour, ...]
    queued: int
    unaccounted: int | None
    listed: tuple[QueuedTask, ...]
    until: int | None


async def read(store: Store, queue: QueueActivity, at: int) -> QueueLedger:
    """Returns the ledger of a queue at a time (microseconds UTC). Raises StoreError."""
    since = max(at // HOUR_US * HOUR_US - (HOURS - 1) * HOUR_US, await queue_ledger.read_beginning(store))
    hours = await queue_ledger.read_ledger(store, queue.scope, queue.name, since)
    tasks = unaccounted_tasks(queue)
    listed = await queue_ledger.list_queued(store, queue.scope, queue.name, 0, min(tasks, LISTED)) if tasks else []
    until = listed[-1].first_at + 1 if tasks and len(listed) == tasks else None
    return QueueLedger(since, tuple(hours), queue.queued, tasks, tuple(listed), until)


async def read_unbalanced(store: Store, queue: QueueActivity, at: int) -> Ledger:
    """Returns the ledger of a queue that does not balance, for the rule; other queues are not read. Raises StoreError."""
    if (unaccounted_tasks(queue) or 0) < LEAST_UNACCOUNTED:
        return Ledger()
    found = await read(store, queue, at)
    return Ledger(found.hours, found.until)
