# SPDX-License-Identifier: AGPL-3.0-or-later
"""Holds: the queues that operators have paused, each in one broker.

A pause with the broker "" is of the queue of that name in every broker: of before the upgrade, or where no agent reports its broker.
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
        """For the statements."""
        return {
            "app_id": self.app_id, "environment": self.environment, "engine": self.engine, "queue": self.queue, "broker": self.broker,
            "names": json.dumps(sorted(self.names | {self.broker})),
        }  # fmt: skip


def pause_queue_row(db: Connection, queue: Paused, at: int, by: str, reason: str) -> None:
    """Note that a queue is paused; twice is once."""
    db.execute(SQL["pause_queue_row"], queue.params() | {"at": at, "by": by, "reason": reason})


def resume_queue_row(db: Connection, queue: Paused, at: int, by: str, others: Iterable[str] = ()) -> None:
    """Note that it goes on. Where it was paused in every broker, the `others` that have a queue of this name stay paused."""
    for broker, since, asked_by, reason in db.execute(SQL["resume_queue_row"], queue.params() | {"at": at, "by": by}).fetchall():
        if queue.broker and not broker:
            for other in others:
                pause_queue_row(db, replace(queue, broker=other, names=frozenset()), since, asked_by, reason)


async def list_paused(store: Store, same: SameBrokers = NONE) -> list[PausedQueueRow]:
    """What is paused now, oldest first. Of a broker with several identities the one that lists of queues show, see `same`."""
    rows = [PausedQueueRow(*row) for row in await store.fetch_all(SQL["list_paused"])]
    return [replace(row, broker=same.get((row.app_id, row.engine, row.broker), row.broker)) for row in rows]


def of_queue(held: Iterable[PausedQueueRow], queue: QueueRow) -> list[PausedQueueRow]:
    """The pauses of queues of this name at this place, whatever their brokers."""
    place = (queue.app, queue.environment, queue.engine, queue.name)
    return [row for row in held if (row.app, row.environment, row.engine, row.queue) == place]


def find_pause(held: Iterable[PausedQueueRow], queue: QueueRow) -> PausedQueueRow | None:
    """The pause that is in force for this queue of this broker."""
    return next((row for row in of_queue(held, queue) if is_paused(row.broker, queue.broker)), None)


async def list_for_agent(store: Store, app_id: int, since: int) -> list[PausedQueueRow]:
    """What an app's workers have to know: what is paused, and what ended since then."""
    return [PausedQueueRow(*row) for row in await store.fetch_all(SQL["list_for_agent"], {"app_id": app_id, "since": since})]
