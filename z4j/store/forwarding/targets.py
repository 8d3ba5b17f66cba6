# SPDX-License-Identifier: AGPL-3.0-or-later
"""Targets and how far each got. Their addresses and keys are stored encrypted; pages and lists show `shown`. Times are microseconds UTC."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import NamedTuple

from z4j.rules.audit.entries import AuditRow
from z4j.rules.findings.server import TargetState
from z4j.rules.forwarding.target import TargetKind, TargetRequest
from z4j.store.access.audit import SQL as AUDIT
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Row, Store

SQL = sql.load("forwarding/targets")


@dataclass(frozen=True, slots=True)
class Target:
    """A target as pages show it. `failing_since`: since when nothing gets through, with the last `error`."""

    id: int
    name: str
    kind: TargetKind
    shown: str
    has_audit: bool
    has_alerts: bool
    actions: tuple[str, ...]
    is_enabled: bool
    changed_by: str
    changed_at: int
    audit_after: int
    alert_after: int
    sent: int
    sent_at: int | None
    failing_since: int | None
    attempts: int
    next_at: int
    error: str

    @property
    def version(self) -> tuple[int, str]:
        """Changes with the address."""
        return self.changed_at, self.shown


class Address(NamedTuple):
    """What is needed to deliver: a URL, for a webhook the key that signs, and for TLS the CA."""

    kind: TargetKind
    url: str
    key: str
    ca: str


class Waiting(NamedTuple):
    """What a target has not received: how many rows of each stream at most, and when the oldest was made (microseconds UTC)."""

    audit: int
    alerts: int
    oldest_at: int | None


class Ends(NamedTuple):
    """The last row of the audit log and the last event of an alert."""

    audit: int
    alerts: int


async def list_targets(store: Store) -> list[Target]:
    """Lists all targets by name."""
    return [_target(row) for row in await store.fetch_all(SQL["list_targets"])]


async def read_address(store: Store, id: int) -> Address | None:
    """Returns where a target is; None if there is none. Raises SealError if that cannot be decrypted."""
    row = await store.fetch_one(SQL["read_sealed"], {"id": id})
    if row is None:
        return None
    values = store.seal.open(row[1], _about(id))
    return Address(row[0], values["url"], values["key"], values["ca"])


def put_target(
    db: Connection, id: int | None, request: TargetRequest, *, shown: str, from_beginning: bool, is_enabled: bool, actor: str, at: int
) -> int | None:  # fmt: skip
    """Adds a target, which begins with what comes from now on or with everything there is, or changes the one with this id. Returns its
    id; None if there is none, or if another one has this name."""
    ends = Ends(0, 0) if from_beginning else _ends(db.execute(SQL["read_ends"]).fetchone())
    params = {
        "name": request.name, "kind": request.kind, "shown": shown, "has_audit": request.has_audit, "has_alerts": request.has_alerts,
        "actions": json.dumps(request.actions), "is_enabled": is_enabled, "actor": actor, "at": at, "audit": ends.audit,
        "alerts": ends.alerts,
    }  # fmt: skip
    try:
        if id is None:
            id = db.execute(SQL["add_target"], params).lastrowid
        assert id is not None
        sealed = db.seal.close({"url": request.url, "key": request.key, "ca": request.ca}, _about(id))
        return id if db.execute(SQL["change_target"], {**params, "id": id, "sealed": sealed}).rowcount else None
    except sqlite3.IntegrityError:
        return None


def set_enabled(db: Connection, id: int, *, is_enabled: bool, actor: str, at: int) -> bool:
    """Enables or disables a target; rows of the meantime are sent once it is enabled again. Returns whether there is one."""
    return bool(db.execute(SQL["set_enabled"], {"id": id, "is_enabled": is_enabled, "actor": actor, "at": at}).rowcount)


def delete_target(db: Connection, id: int) -> bool:
    """Deletes a target with its log. Returns whether there was one."""
    return bool(db.execute(SQL["delete_target"], {"id": id}).rowcount)


def move_cursor(db: Connection, target: Target, *, audit: int, alerts: int, sent: int, at: int) -> None:
    """Notes that a target has everything up to these rows; never backwards. Not of one that was changed meanwhile."""
    params = {"id": target.id, "audit": audit, "alerts": alerts, "sent": sent, "at": at, "changed_at": target.changed_at}
    db.execute(SQL["move_cursor"], params)


def note_failed(db: Connection, id: int, error: str, next_at: int, at: int) -> None:
    """Notes a failed attempt, and when the next one is."""
    db.execute(SQL["note_failed"], {"id": id, "error": error, "next_at": next_at, "at": at})


async def read_ends(store: Store) -> Ends:
    """Returns the last row of each stream."""
    return _ends(await store.fetch_one(SQL["read_ends"]))


async def read_waiting(store: Store, target: Target, ends: Ends) -> Waiting:
    """Returns what a target has not received yet. Rows that no pattern matches count until they were read."""
    audit = max(0, ends.audit - target.audit_after) if target.has_audit else 0
    alerts = max(0, ends.alerts - target.alert_after) if target.has_alerts else 0
    params = {"audit": target.audit_after if audit else None, "alerts": target.alert_after if alerts else None}
    row = await store.fetch_one(SQL["oldest_waiting"], params)
    return Waiting(audit, alerts, row[0] if row else None)


async def list_states(store: Store) -> list[TargetState]:
    """Returns what the rule of findings looks at: enabled targets."""
    listed = [each for each in await list_targets(store) if each.is_enabled]
    if not listed:
        return []
    ends, found = await read_ends(store), []
    for each in listed:
        waiting = await read_waiting(store, each, ends)
        rows = waiting.audit + waiting.alerts
        found.append(TargetState(each.name, each.shown, each.failing_since, each.error, rows, waiting.oldest_at))
    return found


async def list_audit_after(store: Store, after: int, limit: int) -> list[AuditRow]:
    """Lists rows of the audit log after one, the oldest first."""
    return [AuditRow(*row) for row in await store.fetch_all(AUDIT["walk_audit"], {"after": after, "limit": limit})]


def _target(row: Row) -> Target:
    is_sent = bool(row[4]), bool(row[5]), tuple(json.loads(row[6])), bool(row[7])
    return Target(*(*row[:4], *is_sent, *row[8:]))


def _ends(row: Row | None) -> Ends:
    return Ends(row[0] or 0, row[1] or 0) if row else Ends(0, 0)


def _about(id: int) -> str:
    return f"target {id}"
