# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores the commands that operators requested."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from z4j.store.operations import operator_input
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Row, Store
from z4j.text import Json, JsonObject
from z4j_agent.wire.redaction import redact_answer

SQL = sql.load("operations/commands")
NEWEST = 1 << 62
SILENT_US = 15 * 60_000_000
"""How long after its expiry a command may take that an agent has accepted: a purge of a long queue does."""


@dataclass(frozen=True, slots=True)
class CommandRow:
    """A requested action, its target and its result. Times are microseconds UTC.

    `task` is the row id of the task it is about; `spool` the folder it was sent to, empty while it waits.
    """

    id: str
    app_id: int
    engine: str
    action: str
    task: int | None
    task_id: str
    params: dict[str, Any]
    target: str
    status: str
    detail: dict[str, Any]
    asked_by: str
    reason: str
    created_at: int
    expires_at: int
    sent_at: int | None
    spool: str
    ended_at: int | None
    environment: str = ""
    """Of the agents it is for; empty means any."""
    queue: str = ""
    """The queue it is about, of a command that is about one."""


def _row(row: Row) -> CommandRow:
    (
        id, app_id, engine, action, task, task_id, params, target, status, detail, asked_by, reason, created_at, expires_at,
        sent_at, spool, ended_at, environment, queue,
    ) = row  # fmt: skip
    return CommandRow(
        id, app_id, engine, action, task, task_id, json.loads(params), target, status, json.loads(detail), asked_by, reason,
        created_at, expires_at, sent_at, spool, ended_at, environment, queue,
    )  # fmt: skip


def add_command(db: Connection, command: CommandRow, task_name: str = "") -> CommandRow:
    """Adds a requested command, which then waits for an agent. Returns it with masked parameters."""
    shown, sealed = operator_input.close_params(db, command.id, command.app_id, command.params, task_name)
    db.execute(
        SQL["add_command"],
        {
            "id": command.id, "app_id": command.app_id, "engine": command.engine, "action": command.action,
            "task": command.task, "task_id": command.task_id, "params": json.dumps(shown), "sealed": sealed, "target": command.target,
            "asked_by": command.asked_by, "reason": command.reason, "at": command.created_at, "expires_at": command.expires_at,
            "environment": command.environment, "queue": command.queue,
        },
    )  # fmt: skip
    return dataclasses.replace(command, params=shown)


async def whole_params(store: Store, id: str, shown: Mapping[str, Json]) -> JsonObject:
    """Returns the parameters as they were typed, for the agent only; `shown` if none is secret. Raises SealError if they cannot be
    decrypted."""
    row = await store.fetch_one(SQL["sealed_of"], {"id": id})
    return dict(shown) if row is None or not row[0] else dict(store.seal.open(row[0], f"command {id}"))


def mark_sent(db: Connection, id: str, spool: str, at: int) -> bool:
    """Marks a command as sent to one spool folder. Returns False if it was sent to a folder since it was read, or has ended: then it must
    not be sent."""
    return bool(db.execute(SQL["mark_sent"], {"id": id, "spool": spool, "at": at}).fetchall())


async def list_open(store: Store, app_id: int, at: int) -> list[CommandRow]:
    """Lists the commands of an app that wait or have no result yet, oldest first."""
    return [_row(row) for row in await store.fetch_all(SQL["list_open"], {"app_id": app_id, "at": at})]


async def list_cancellations(store: Store, app_id: int, at: int) -> list[CommandRow]:
    """Cancellations that were executed and whose task still waits."""
    return [_row(row) for row in await store.fetch_all(SQL["list_cancellations"], {"app_id": app_id, "at": at})]


async def list_commands(store: Store, *, before: int = NEWEST, limit: int = 100) -> list[CommandRow]:
    """Lists commands, newest first. `before` is the `created_at` of the last row of the previous page."""
    return [_row(row) for row in await store.fetch_all(SQL["list_commands"], {"before": before, "limit": limit})]


async def list_of_task(store: Store, task: int) -> list[CommandRow]:
    """Lists the commands on one task, newest first."""
    return [_row(row) for row in await store.fetch_all(SQL["list_of_task"], {"task": task})]


async def list_of_queue(store: Store, app_id: int, environment: str, engine: str, queue: str) -> list[CommandRow]:
    """Lists the commands on one queue, newest first."""
    params = {"app_id": app_id, "environment": environment, "engine": engine, "queue": queue}
    return [_row(row) for row in await store.fetch_all(SQL["list_of_queue"], params)]


async def list_of_worker(store: Store, app_id: int, environment: str, worker: str, since: int) -> list[CommandRow]:
    """Lists the commands on one worker since `since` (microseconds UTC), newest first."""
    params = {"app_id": app_id, "environment": environment, "target": worker, "since": since}
    return [_row(row) for row in await store.fetch_all(SQL["list_of_worker"], params)]


async def get_command(store: Store, id: str) -> CommandRow | None:
    """Returns a command by its id, or None."""
    row = await store.fetch_one(SQL["get_command"], {"id": id})
    return None if row is None else _row(row)


def finish_command(
    db: Connection, app_id: int, command_id: str, at: int, status: str, fields: JsonObject, spool: str | None = None
) -> bool:  # fmt: skip
    """Stores the result of a command, as reported by an agent of its app. Returns whether that is news: the same answer twice is not, nor
    an unknown id, nor the result of a spool folder that the command was not sent to. Without `spool` any folder is accepted."""
    params = {
        "id": command_id, "app_id": app_id, "at": at, "status": status, "detail": json.dumps(redact_answer(fields)), "spool": spool
    }  # fmt: skip
    return bool(db.execute(SQL["finish_command"], params).fetchall())


def expire_commands(db: Connection, at: int) -> list[str]:
    """Ends every command that no agent took in time (`expired`), or that was sent to an agent without a result (`unknown`: an
    answer that comes later still counts). Returns their ids."""
    params = {
        "at": at,
        "silent": at - SILENT_US,
        "detail": json.dumps({"error": "outcome unknown: it was sent to an agent that did not report a result"}),
    }
    return [row[0] for row in db.execute(SQL["expire_commands"], params).fetchall()]
