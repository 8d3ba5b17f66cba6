# SPDX-License-Identifier: AGPL-3.0-or-later
"""Incidents with their notes, and the events of a range. Every list has a limit. Times are microseconds UTC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from z4j.rules.incidents.record import ErrorSeen, Event, Record
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Store

SQL = sql.load("incidents/incidents")
PAGE: Final = 50
LISTED: Final = 300
"""Rows of one kind in a record."""
NOTES: Final = 500
ERRORS: Final = 20


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident. `ended_at` is None while it is ongoing."""

    id: int
    title: str
    app: str
    environment: str
    began_at: int
    ended_at: int | None
    started_by: str
    ended_by: str


async def list_incidents(store: Store, before: tuple[int, int] | None = None, limit: int = PAGE) -> list[Incident]:
    """Lists a page of incidents that began before (time, id), newest first."""
    at, id = before or (2**62, 0)
    return [Incident(*row) for row in await store.fetch_all(SQL["list_incidents"], {"at": at, "id": id, "limit": limit})]


async def list_open(store: Store) -> list[Incident]:
    """Lists the ongoing incidents."""
    return [Incident(*row) for row in await store.fetch_all(SQL["list_open"])]


async def get_incident(store: Store, id: int) -> tuple[Incident, Record | None] | None:
    """Returns an incident, with its record if it has ended; None if it does not exist."""
    row = await store.fetch_one(SQL["get_incident"], {"id": id})
    if row is None:
        return None
    *columns, record = row
    return Incident(*columns), None if record is None else msgspec.json.decode(record, type=Record)


def start(db: Connection, title: str, app: str, environment: str, began_at: int, actor: str) -> int:
    """Starts an incident and returns its id."""
    params = {"title": title, "app": app, "environment": environment, "began_at": began_at, "actor": actor}
    id = db.execute(SQL["start"], params).lastrowid
    assert id is not None
    return id


def rename(db: Connection, id: int, title: str) -> bool:
    """Changes the title of an ongoing incident. Returns False if there is none."""
    return bool(db.execute(SQL["rename"], {"id": id, "title": title}).rowcount)


def end(db: Connection, id: int, record: Record, actor: str, at: int) -> bool:
    """Ends an incident and stores its record. Returns False if it had already ended."""
    text = msgspec.json.encode(record).decode()
    return bool(db.execute(SQL["end"], {"id": id, "record": text, "actor": actor, "at": at}).rowcount)


def delete(db: Connection, id: int) -> bool:
    """Deletes an incident with its notes. Returns whether there was one."""
    db.execute(SQL["delete_notes"], {"id": id})
    return bool(db.execute(SQL["delete"], {"id": id}).rowcount)


def add_note(db: Connection, id: int, text: str, actor: str, at: int) -> bool:
    """Adds a note. Returns False if there are too many."""
    return bool(db.execute(SQL["add_note"], {"id": id, "text": text, "actor": actor, "at": at, "most": NOTES}).rowcount)


async def list_events(store: Store, incident: Incident, until: int) -> tuple[list[Event], int]:
    """Returns the events until a time, unordered, and how many lists were truncated."""
    params = {
        "since": incident.began_at, "until": until, "app": incident.app, "environment": incident.environment, "limit": LISTED,
        "id": incident.id,
    }  # fmt: skip
    notes, findings, commands, alerts = [
        await store.fetch_all(SQL[block], params) for block in ("list_notes", "list_findings", "list_commands", "list_alerts")
    ]
    events = [Event(at, "note", text, author) for at, author, text in notes]
    for app, environment, _, title, text, began_at, ended_at in findings:
        where = " ".join(part for part in (app, environment) if part)
        events.append(Event(max(began_at, incident.began_at), "finding", f"{title}: {text}{f' ({where})' if where else ''}"))
        if ended_at is not None and ended_at < until:
            events.append(Event(ended_at, "over", title))
    for at, who, action, target, status, reason in commands:
        what = f"{action.replace('_', ' ')} {target}".strip()
        events.append(Event(at, "action", f"{what}: {status}{f' ({reason})' if reason else ''}", who, f"/changes?before={at + 1}"))
    for id, title, severity, fired_at, _, _, opened_at in alerts:
        events.append(Event(fired_at or opened_at, "alert", f"{severity}: {title}", href=f"/alerts/{id}"))
    return events, sum(len(rows) == LISTED for rows in (findings, commands, alerts))


async def list_errors(store: Store, incident: Incident, until: int) -> tuple[list[ErrorSeen], list[Event]]:
    """Returns the errors that were seen until a time, and an event for each that was new."""
    params = {"since": incident.began_at, "until": until, "app": incident.app, "limit": ERRORS}
    rows = await store.fetch_all(SQL["list_errors"], params)
    seen = [ErrorSeen(id, title, failed, first_at >= incident.began_at) for id, title, first_at, _, failed in rows]
    new = [Event(first_at, "error", title, href=f"/errors/{id}") for id, title, first_at, _, _ in rows if first_at >= incident.began_at]
    return seen, new
