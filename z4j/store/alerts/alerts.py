# SPDX-License-Identifier: AGPL-3.0-or-later
"""Alerts and the findings in them. Times are microseconds UTC."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from z4j.rules.alerts.alert_decision import Alert, Item, Match
from z4j.rules.alerts.alert_rule import Severity
from z4j.rules.findings.finding import Scope
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Row, Store

SQL = sql.load("alerts/alerts")
PAGE: Final = 50
SOME: Final = 50


@dataclass(frozen=True, slots=True)
class StoredAlert:
    """An alert with its id and its rule. `title` is that of its last message."""

    id: int
    rule_id: int
    rule: str
    severity: Severity
    title: str
    alert: Alert


async def list_open(store: Store) -> list[StoredAlert]:
    """Lists the open alerts with their findings, newest first."""
    return await _with_items(store, await store.fetch_all(SQL["list_open"]))


async def list_alerts(store: Store, before: tuple[int, int] | None, limit: int = PAGE) -> list[StoredAlert]:
    """Lists a page of alerts that opened before (time, id), newest first."""
    at, id = before or (2**62, 0)
    return await _with_items(store, await store.fetch_all(SQL["list_alerts"], {"at": at, "id": id, "limit": limit}))


async def get_alert(store: Store, id: int) -> StoredAlert | None:
    """Returns an alert; None if there is none."""
    row = await store.fetch_one(SQL["get_alert"], {"id": id})
    return None if row is None else (await _with_items(store, [row]))[0]


async def last_fired(store: Store, rule: int) -> dict[Scope, int]:
    """Returns when a rule last fired, by app and environment."""
    rows = await store.fetch_all(SQL["last_fired"], {"rule": rule})
    return {Scope(app, environment): at for _, app, environment, at in rows}


def put_alert(db: Connection, id: int | None, rule_id: int, rule: str, severity: Severity, title: str, alert: Alert) -> int:
    """Stores a new alert or the new state of one, and returns its ID."""
    if id is None:
        params = {
            "rule_id": rule_id, "rule": rule, "severity": severity, "app": alert.scope.app, "environment": alert.scope.environment,
            "level": alert.level, "title": title, "opened_at": alert.opened_at,
        }  # fmt: skip
        id = db.execute(SQL["open_alert"], params).lastrowid
        assert id is not None
    times = {key: getattr(alert, key) for key in ("level", "fired_at", "reminded_at", "escalated_at", "resolved_at")}
    db.execute(SQL["change_alert"], {"id": id, "title": title, **times})
    for item in alert.items:
        db.execute(SQL["put_item"], {"alert_id": id, **item.match._asdict(), "joined_at": item.joined_at, "ended_at": item.ended_at})
    return id


def acknowledge(db: Connection, id: int, actor: str, at: int) -> bool:
    """Acknowledges an alert. Returns False if it was already acknowledged or resolved."""
    return bool(db.execute(SQL["acknowledge"], {"id": id, "actor": actor, "at": at}).rowcount)


def close_of_rule(db: Connection, rule: int, at: int) -> int:
    """Closes the alerts of a rule without a message. Returns their number."""
    return db.execute(SQL["close_of_rule"], {"rule": rule, "at": at}).rowcount


def delete_old(db: Connection, before: int) -> bool:
    """Deletes some alerts that were resolved before a time. Returns whether there may be more."""
    ids = [row[0] for row in db.execute(SQL["list_old"], {"before": before, "limit": SOME}).fetchall()]
    for id in ids:
        for block in ("delete_items", "delete_alert"):
            db.execute(SQL[block], {"id": id})
    return len(ids) == SOME


async def _with_items(store: Store, rows: Iterable[Row]) -> list[StoredAlert]:
    known = list(rows)
    ids = json.dumps([row[0] for row in known])
    items: dict[int, list[Item]] = {}
    for alert_id, key, level, title, text, href, since, found_at, joined_at, ended_at in await store.fetch_all(
        SQL["list_items"], {"alerts": ids}
    ):
        items.setdefault(alert_id, []).append(Item(Match(key, level, title, text, href, since, found_at), joined_at, ended_at))
    return [_stored(row, tuple(items.get(row[0], ()))) for row in known]


def _stored(row: Row, items: tuple[Item, ...]) -> StoredAlert:
    (
        id, rule_id, rule, severity, app, environment, level, title, opened_at, fired_at, reminded_at, escalated_at, acknowledged_at,
        acknowledged_by, resolved_at,
    ) = row  # fmt: skip
    alert = Alert(
        Scope(app, environment), opened_at, level, items, fired_at, reminded_at, escalated_at, acknowledged_at, acknowledged_by, resolved_at
    )
    return StoredAlert(id, rule_id, rule, severity, title, alert)
