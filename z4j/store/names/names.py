# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores strings that repeat (task names, queues, workers, environments, releases, engines) once, each with an id.

Id 0 means "none" and the empty string. A name that nothing refers to is deleted, see `unused_names`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Store

SQL = sql.load("names/names")

KINDS = ("name", "queue", "worker", "environment", "release", "engine", "broker")
CACHE_LIMIT = 100_000


def intern(db: Connection, kind: str, text: str) -> int:
    """Returns the id of `text` among the strings of `kind`, which is created if it is new. 0 for the empty string."""
    if not text:
        return 0
    ids = db.recall("name ids")
    id: int | None = ids.get((kind, text))
    if id is not None:
        return id
    row = db.execute(SQL["find_name"], {"kind": kind, "text": text}).fetchone()
    if row is None:
        row = db.execute(SQL["add_name"], {"kind": kind, "text": text}).fetchone()
    if len(ids) >= CACHE_LIMIT:
        ids.clear()
    ids[kind, text] = row[0]
    return int(row[0])


def text_of(db: Connection, id: int) -> str:
    """Returns the string of an id; "" for 0."""
    if not id:
        return ""
    texts = db.recall("name texts")
    text: str | None = texts.get(id)
    if text is None:
        if len(texts) >= CACHE_LIMIT:
            texts.clear()
        row = db.execute(SQL["read_name"], {"id": id}).fetchone()
        text = texts[id] = str(row[0]) if row else ""  # missing only in a damaged file: its tasks must stay readable
    return text


async def find(store: Store, texts: dict[str, str]) -> dict[str, int]:
    """Returns the ids of several strings, given as {kind: text}. Strings that were never stored are missing from the result."""
    asked = {kind: text for kind, text in texts.items() if text}
    if not asked:
        return {}
    return dict(await store.fetch_all(SQL["find_names"], {"wanted": json.dumps(asked)}))


async def read_texts(store: Store, ids: Iterable[int]) -> dict[int, str]:
    """Returns the strings behind ids, with 0, which is "". Ids without a string are missing from the result."""
    return {0: ""} | dict(await store.fetch_all(SQL["read_texts"], {"ids": json.dumps(sorted(set(ids)))}))
