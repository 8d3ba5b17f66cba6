# SPDX-License-Identifier: AGPL-3.0-or-later
"""Events of alerts in the order in which they happened, for forwarding. Times are microseconds UTC."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Store

SQL = sql.load("forwarding/alert_events")
SOME: Final = 100


class AlertEvent(NamedTuple):
    """What happened with an alert."""

    id: int
    at: int
    alert_id: int
    kind: str
    body: dict[str, Any]


def add_event(db: Connection, alert_id: int, kind: str, body: Mapping[str, Any], at: int) -> None:
    """Adds an event, in the transaction that stores the alert."""
    db.execute(SQL["add_event"], {"alert_id": alert_id, "kind": kind, "body": json.dumps(body, ensure_ascii=False), "at": at})


async def list_events_after(store: Store, after: int, limit: int) -> list[AlertEvent]:
    """Lists events after one, the oldest first."""
    rows = await store.fetch_all(SQL["list_events"], {"after": after, "limit": limit})
    return [AlertEvent(id, at, alert_id, kind, json.loads(body)) for id, at, alert_id, kind, body in rows]


def delete_old(db: Connection, before: int) -> bool:
    """Deletes some events of before a time, but never the last one: the next one follows its number. Returns whether
    there may be more."""
    return db.execute(SQL["delete_old"], {"before": before, "limit": SOME}).rowcount == SOME
