# SPDX-License-Identifier: AGPL-3.0-or-later
"""The engine's own message of a task, plain or sealed: what a retry sends back. Opaque to the server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from z4j.rules.fold import MOVED
from z4j.store import sql
from z4j.store.db import Connection, Store

SQL = sql.load("originals")


def save(db: Connection, originals: Iterable[tuple[int, int, bytes, str]]) -> None:
    """Keep (task row, `fold.original_key`, bytes, key id or "") where it is better than what is kept."""
    db.executemany(SQL["put_original"], originals)


class Original(NamedTuple):
    """A kept message."""

    data: bytes
    key_id: str | None
    """Which key it was closed with; None of an older agent's plain one."""
    moved_to: str | None
    """The queue an operator has moved its task to since; the message itself still says the first one."""


async def get_original(store: Store, task: int) -> Original | None:
    """The original of a task, or None when none is kept."""
    row = await store.fetch_one(SQL["get_original"], {"task": task, "moved": MOVED})
    return None if row is None else Original(row[0], row[1] or None, row[2])


async def has_original(store: Store, task: int) -> bool:
    """Whether the original of a task is (still) kept."""
    row = await store.fetch_one(SQL["has_original"], {"task": task})
    return bool(row and row[0])
