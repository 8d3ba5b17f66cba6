# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores originals: the engine's own message of a task, plain or sealed, which a retry sends back. Opaque to the server."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

from z4j.rules.tasks.fold import MOVED
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Store

SQL = sql.load("tasks/originals")


def save(db: Connection, originals: Iterable[tuple[int, int, bytes, str, int]]) -> None:
    """Stores (task row, `fold.original_key`, bytes, key id or "", broker's name id) if it is better than the stored original."""
    db.write_rows(SQL["put_original"], [*originals])


class Original(NamedTuple):
    """A kept message."""

    data: bytes
    key_id: str | None
    """Which key it was closed with; None of an older agent's plain one."""
    moved_to: str | None
    """The queue an operator has moved its task to since; the message itself still says the first one."""
    broker: str
    """The identity of the broker it belongs to, "" if unknown."""


async def get_original(store: Store, task: int) -> Original | None:
    """Returns the original of a task, or None."""
    row = await store.fetch_one(SQL["get_original"], {"task": task, "moved": MOVED})
    return None if row is None else Original(row[0], row[1] or None, row[2], row[3] or "")


async def read_originals(store: Store, tasks: Iterable[int]) -> dict[int, Original]:
    """Returns task row → original, for those that are stored."""
    rows = await store.fetch_all(SQL["read_originals"], {"ids": json.dumps(list(tasks)), "moved": MOVED})
    return {task: Original(data, key_id or None, moved_to, broker or "") for task, data, key_id, moved_to, broker in rows}


async def read_brokers(store: Store, tasks: Iterable[int]) -> dict[int, str]:
    """Returns task row → identity of its broker, for those that are known."""
    return dict(await store.fetch_all(SQL["read_brokers"], {"ids": json.dumps(list(tasks))}))


async def broker_of(store: Store, task: int) -> str | None:
    """Returns the broker of the original of a task, "" if it is unknown; None if no original is stored."""
    row = await store.fetch_one(SQL["broker_of"], {"task": task})
    return None if row is None else row[0] or ""
