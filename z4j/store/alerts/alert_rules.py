# SPDX-License-Identifier: AGPL-3.0-or-later
"""Alert rules and maintenance windows. Times are microseconds UTC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from z4j.rules.alerts.alert_rule import AlertRule
from z4j.rules.alerts.quiet_hours import Maintenance
from z4j.rules.findings.finding import Scope
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Store

SQL = sql.load("alerts/alert_rules")
SOME: Final = 100
_DECODER = msgspec.json.Decoder(AlertRule)


@dataclass(frozen=True, slots=True)
class StoredRule:
    """A rule with its id, and who changed it last."""

    id: int
    rule: AlertRule
    changed_by: str
    changed_at: int


@dataclass(frozen=True, slots=True)
class MaintenanceRow:
    """A maintenance window, with its author."""

    id: int
    window: Maintenance
    reason: str
    made_by: str
    at: int


async def list_rules(store: Store) -> list[StoredRule]:
    """Lists all rules."""
    return [StoredRule(id, _DECODER.decode(text), *rest) for id, text, *rest in await store.fetch_all(SQL["list_rules"])]


def put_rule(db: Connection, id: int | None, rule: AlertRule, actor: str, at: int) -> int | None:
    """Adds a rule, or replaces the one with this id. Returns its id; None if there is none."""
    params = {"id": id, "definition": msgspec.json.encode(rule).decode(), "actor": actor, "at": at}
    if id is None:
        return db.execute(SQL["add_rule"], params).lastrowid
    return id if db.execute(SQL["change_rule"], params).rowcount else None


def delete_rule(db: Connection, id: int) -> bool:
    """Deletes a rule. Returns whether there was one."""
    return bool(db.execute(SQL["delete_rule"], {"id": id}).rowcount)


async def list_maintenance(store: Store, since: int) -> list[MaintenanceRow]:
    """Lists the maintenance windows that end after a time."""
    rows = await store.fetch_all(SQL["list_maintenance"], {"since": since})
    return [MaintenanceRow(row[0], Maintenance(Scope(row[1], row[2]), row[3], row[4]), *row[5:]) for row in rows]


def add_maintenance(db: Connection, window: Maintenance, reason: str, actor: str, at: int) -> int | None:
    """Adds a maintenance window and returns its ID."""
    params = {
        "app": window.scope.app, "environment": window.scope.environment, "begins_at": window.begins_at, "ends_at": window.ends_at,
        "reason": reason, "actor": actor, "at": at,
    }  # fmt: skip
    return db.execute(SQL["add_maintenance"], params).lastrowid


def end_maintenance(db: Connection, id: int, at: int) -> bool:
    """Ends maintenance now. Returns False if it had already ended or does not exist."""
    return bool(db.execute(SQL["end_maintenance"], {"id": id, "at": at}).rowcount)


def delete_maintenance(db: Connection, before: int) -> bool:
    """Deletes some that ended before a time. Returns whether there may be more."""
    return db.execute(SQL["delete_maintenance"], {"before": before, "limit": SOME}).rowcount == SOME
