# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores the queues that operators have paused, each in one broker.

A pause with the broker "" applies to the queue of that name in every broker: it was stored by an earlier release, or no agent reports its
broker.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

from z4j.rules.paused_queues import is_paused
from z4j.store.fleet.queues import NONE, QueueRow, SameBrokers
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Store
from z4j.text import JsonObject

SQL = sql.load("fleet/paused_queues")


@dataclass(frozen=True, slots=True)
class PausedQueueRow:
    """A queue that is, or was, paused. Times are microseconds UTC; `ended_at` is None while it is paused."""

    id: int
    app: str
    app_id: int
    environment: str
    engine: str
    queue: str
    at: int
    asked_by: str
    reason: str
    ended_at: int | None
    broker: str = ""
    """The identity of its broker, "" for every broker."""


@dataclass(frozen=True, slots=True)
class Paused:
    """A queue in a broker. `names` are all identities of that broker, its own among them."""

    app_id: int
    environment: str
    engine: str
    queue: str
    broker: str = ""
    names: frozenset[str] = frozenset()

    def params(self) -> JsonObject:
        """Returns the parameters of the SQL statements."""
        return {
            "app_id": self.app_id, "environment": self.environment, "engine": self.engine, "queue": self.queue, "broker": self.broker,
            "names": json.dumps(sorted(self.names | {self.broker})),
        }  # fmt: skip


def pause_queue_row(db: Connection, queue: Paused, at: int, by: str, reason: str) -> None:
    """Records that a queue is paused. Repeating it changes nothing."""
    db.execute(SQL["pause_queue_row"], queue.params() | {"at": at, "by": by, "reason": reason})


def resume_queue_row(db: Connection, queue: Paused, at: int, by: str, others: Iterable[str] = ()) -> None:
    """Records that a queue was resumed. If it was paused in every broker, the brokers `others` that have a queue of this name stay
    paused."""
    for broker, since, asked_by, reason in db.execute(SQL["resume_queue_row"], queue.params() | {"at": at, "by": by}).fetchall():
        if queue.broker and not broker:
            for other in others:
                pause_queue_row(db, replace(queue, broker=other, names=frozenset()), since, asked_by, reason)


async def list_paused(store: Store, same: SameBrokers = NONE) -> list[PausedQueueRow]:
    """Lists the paused queues, oldest first. A broker with several identities is listed under the one that lists of queues show
    (`same`)."""
    rows = [PausedQueueRow(*row) for row in await store.fetch_all(SQL["list_paused"])]
    return [replace(row, broker=same.get((row.app_id, row.engine, row.broker), row.broker)) for row in rows]


def of_queue(held: Iterable[PausedQueueRow], queue: QueueRow) -> list[PausedQueueRow]:
    """Returns the pauses of queues with this name in the same app, environment and engine, of any broker."""
    place = (queue.app, queue.environment, queue.engine, queue.name)
    return [row for row in held if (row.app, row.environment, row.engine, row.queue) == place]


def find_pause(held: Iterable[PausedQueueRow], queue: QueueRow) -> PausedQueueRow | None:
    """Returns the pause that applies to this queue of this broker, or None."""
    return next((row for row in of_queue(held, queue) if is_paused(row.broker, queue.broker)), None)


async def list_for_agent(store: Store, app_id: int, since: int) -> list[PausedQueueRow]:
    """Lists what the workers of an app have to be sent: paused queues, and queues resumed since `since` (microseconds UTC)."""
    return [PausedQueueRow(*row) for row in await store.fetch_all(SQL["list_for_agent"], {"app_id": app_id, "since": since})]
