# SPDX-License-Identifier: AGPL-3.0-or-later
"""Messages until they are delivered, and the log of all of them. They are written in the transaction of the decision, so none is lost
when the server stops. Times are microseconds UTC."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from z4j.rules.alerts.alert_decision import MessageKind
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Row, Store

SQL = sql.load("alerts/messages")
PAGE: Final = 50
SOME: Final = 100
AT_ONCE: Final = 50


@dataclass(frozen=True, slots=True)
class Message:
    """A message of one channel. `next_at` is None when `outcome` is set: delivered, withdrawn or given up."""

    id: str
    alert_id: int | None
    channel_id: int
    channel: str
    kind: MessageKind
    body: dict[str, Any]
    created_at: int
    due_at: int
    attempts: int
    next_at: int | None
    delivered_at: int | None
    outcome: str
    error: str


def add_message(
    db: Connection, alert_id: int | None, channel_id: int, kind: MessageKind, body: Mapping[str, Any], at: int, due_at: int
) -> str:  # fmt: skip
    """Adds a message that is due at `due_at`, and returns its ID."""
    id = uuid.uuid4().hex
    params = {
        "id": id, "alert_id": alert_id, "channel_id": channel_id, "kind": kind, "body": json.dumps(body, ensure_ascii=False), "at": at,
        "due_at": due_at,
    }  # fmt: skip
    db.execute(SQL["add_message"], params)
    return id


async def list_due(store: Store, at: int) -> list[Message]:
    """Lists some due messages of each channel, in the order in which they are sent."""
    return [_message(row[:-1]) for row in await store.fetch_all(SQL["list_due"], {"at": at, "limit": AT_ONCE})]


async def list_of_alert(store: Store, alert_id: int) -> list[Message]:
    """Lists the newest messages of an alert."""
    return [_message(row) for row in await store.fetch_all(SQL["list_of_alert"], {"alert_id": alert_id, "limit": 2 * PAGE})]


async def list_messages(store: Store, before: tuple[int, str] | None, limit: int = PAGE) -> list[Message]:
    """Lists a page of messages created before (time, id), newest first."""
    at, id = before or (2**62, "")
    return [_message(row) for row in await store.fetch_all(SQL["list_messages"], {"at": at, "id": id, "limit": limit})]


async def get_message(store: Store, id: str) -> Message | None:
    """Returns a message; None if there is none."""
    row = await store.fetch_one(SQL["get_message"], {"id": id})
    return None if row is None else _message(row)


def deliver(db: Connection, id: str, at: int) -> None:
    """Records a delivery."""
    db.execute(SQL["deliver"], {"id": id, "at": at})


def try_again(db: Connection, id: str, error: str, next_at: int | None) -> None:
    """Records a failed attempt and the time of the next one; None gives the message up."""
    db.execute(SQL["try_again"], {"id": id, "error": error, "next_at": next_at})


def withdraw_held(db: Connection, alert_id: int, at: int) -> None:
    """Withdraws the messages of an alert that wait for the end of quiet hours."""
    db.execute(SQL["withdraw_held"], {"alert_id": alert_id, "at": at})


def withdraw_reminders(db: Connection, alert_id: int) -> None:
    """Withdraws the reminders of an alert that were not delivered."""
    db.execute(SQL["withdraw_reminders"], {"alert_id": alert_id})


def withdraw_of_channel(db: Connection, channel_id: int) -> None:
    """Withdraws the undelivered messages of a channel."""
    db.execute(SQL["withdraw_of_channel"], {"channel_id": channel_id})


def delete_old(db: Connection, before: int) -> bool:
    """Deletes some finished messages created before a time. Returns whether there may be more."""
    return db.execute(SQL["delete_old"], {"before": before, "limit": SOME}).rowcount == SOME


def _message(row: Row) -> Message:
    return Message(*(*row[:5], json.loads(row[5]), *row[6:]))
