# SPDX-License-Identifier: AGPL-3.0-or-later
"""The log of deliveries to webhooks. Times are microseconds UTC."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from z4j.rules.forwarding.events import Outgoing
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Store

SQL = sql.load("forwarding/deliveries")
SHOWN: Final = 50
SOME: Final = 100


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message to a webhook. `outcome`: delivered, failed (it is tried again) or refused (it was skipped)."""

    target: str
    stream: str
    seq: int
    what: str
    at: int
    attempts: int
    delivered_at: int | None
    outcome: str
    error: str


def note_delivered(db: Connection, target_id: int, messages: Iterable[Outgoing], at: int) -> None:
    """Notes messages that arrived."""
    rows = [(target_id, each.stream, each.seq, each.what, at, at, "delivered", "") for each in messages]
    db.executemany(SQL["put_delivery"], rows)


def note_failed(db: Connection, target_id: int, message: Outgoing, error: str, at: int, *, is_skipped: bool) -> int:
    """Notes a failed attempt. Returns how many there were."""
    row = (target_id, message.stream, message.seq, message.what, at, None, "refused" if is_skipped else "failed", error)
    db.execute(SQL["put_delivery"], row)
    found = db.execute(SQL["read_attempts"], {"id": target_id, "stream": message.stream, "seq": message.seq}).fetchone()
    return int(found[0])


def attempts_of(db: Connection, target_id: int, message: Outgoing) -> int:
    """Returns how often a message was tried."""
    row = db.execute(SQL["read_attempts"], {"id": target_id, "stream": message.stream, "seq": message.seq}).fetchone()
    return int(row[0]) if row else 0


async def list_deliveries(store: Store, limit: int = SHOWN) -> list[Delivery]:
    """Lists the newest deliveries."""
    return [Delivery(*row) for row in await store.fetch_all(SQL["list_deliveries"], {"limit": limit})]


def delete_old(db: Connection, before: int) -> bool:
    """Deletes some deliveries of before a time. Returns whether there may be more."""
    return db.execute(SQL["delete_old"], {"before": before, "limit": SOME}).rowcount == SOME
