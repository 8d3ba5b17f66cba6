# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads how far the connection of an application is: what its connection string was used for, and what came of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Store

SQL = sql.load("fleet/connection_progress")
MOST: Final = 1_000
LOOKED: Final = 5_000
"""The newest tasks among which one of the app is looked for."""


@dataclass(frozen=True, slots=True)
class ConnectionString:
    """A connection string without its secret. Times are microseconds UTC."""

    token_id: int
    created_at: int
    used_at: int | None
    app_id: int
    app: str
    seal_key_id: str


@dataclass(frozen=True, slots=True)
class Reported:
    """What agents of the app have reported since a connection string was created. `answer` is the status of the newest command."""

    registered: int
    first_task_at: int | None
    answer: str
    answer_error: str


async def find_string(store: Store, token_id: int) -> ConnectionString | None:
    """Returns a connection string that can be used, or None."""
    row = await store.fetch_one(SQL["find_string"], {"id": token_id})
    return ConnectionString(*row) if row else None


async def read_reported(store: Store, app_id: int, engine: str, since: int) -> Reported:
    """Returns what was reported since `since` (microseconds UTC)."""
    names = await store.fetch_one(SQL["count_registered"], {"app_id": app_id, "engine": engine, "limit": MOST})
    task = await store.fetch_one(SQL["first_task"], {"app_id": app_id, "since": since, "looked": LOOKED})
    command = await store.fetch_one(SQL["newest_command"], {"app_id": app_id, "since": since})
    status, detail = (command[0], json.loads(command[1])) if command else ("", {})
    error = detail.get("error", "") if isinstance(detail, dict) else ""
    return Reported(names[0] if names else 0, task[0] if task else None, status, str(error))
