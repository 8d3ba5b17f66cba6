# SPDX-License-Identifier: AGPL-3.0-or-later
"""The engine's own message of a task, plain or sealed: what a retry sends back. Opaque to the server."""

from __future__ import annotations

from collections.abc import Iterable

from z4j.store import sql
from z4j.store.db import Connection, Store

SQL = sql.load("originals")


def save(db: Connection, originals: Iterable[tuple[int, int, bytes, str]]) -> None:
    """Keep (task row, `fold.original_key`, bytes, key id or "") where it is better than what is kept."""
    db.executemany(SQL["put_original"], originals)


async def get_original(store: Store, task: int) -> tuple[bytes, str | None] | None:
    """The bytes and the id of the key that opens them (None: plain), or None when no original is kept."""
    row = await store.fetch_one(SQL["get_original"], {"task": task})
    return None if row is None else (row[0], row[1] or None)


async def has_original(store: Store, task: int) -> bool:
    """Whether the original of a task is (still) kept."""
    row = await store.fetch_one(SQL["has_original"], {"task": task})
    return bool(row and row[0])
