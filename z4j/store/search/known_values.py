# SPDX-License-Identifier: AGPL-3.0-or-later
"""Lists values that a field of a query has, where the counters do not know them."""

from __future__ import annotations

from typing import Final

from z4j.store.search.conditions import KINDS
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Store

SQL = sql.load("search/known_values")

_NAMED: Final = ("worker", "release")


async def list_errors(store: Store, text: str, limit: int) -> list[tuple[str, str]]:
    """Returns (number, title) of errors whose number begins with a text or whose title contains it, the last seen first."""
    rows = await store.fetch_all(SQL["list_errors"], {"text": text.casefold(), "limit": limit})
    return [(str(id), title) for id, title in rows]


async def list_values(store: Store, field: str, prefix: str, limit: int) -> list[str]:
    """Returns values of a field that begin with a text, newest first; none for fields whose values are not stored once."""
    if field not in _NAMED:
        return []
    rows = await store.fetch_all(SQL["list_names"], {"kind": KINDS[field], "prefix": prefix, "limit": limit})
    return [row[0] for row in rows]
