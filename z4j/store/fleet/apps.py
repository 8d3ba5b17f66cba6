# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores apps, which agents belong to."""

from __future__ import annotations

from dataclasses import dataclass

from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Store

SQL = sql.load("fleet/apps")


@dataclass(frozen=True, slots=True)
class AppRow:
    """`seal_key_id` names the key made with the first token; the key itself is never here."""

    id: int
    name: str
    created_at: int
    seal_key_id: str
    tokens: int = 0
    disabled_at: int | None = None


def add_app(db: Connection, name: str, seal_key_id: str, at: int) -> int:
    """Adds an app. Returns its row id. Raises sqlite3.IntegrityError when the name is taken."""
    return int(db.execute(SQL["add_app"], {"name": name, "at": at, "seal_key_id": seal_key_id}).fetchone()[0])


def find_app(db: Connection, name: str) -> AppRow | None:
    """Returns an app by its name in any case, or None."""
    row = db.execute(SQL["find_app"], {"name": name}).fetchone()
    return AppRow(*row) if row else None


def set_disabled(db: Connection, id: int, at: int | None) -> str | None:
    """Keeps the app's agents from connecting, or lets them again (`at` None). Returns its name, None when nothing changed."""
    row = db.execute(SQL["set_app_disabled"], {"id": id, "at": at}).fetchone()
    return row[0] if row else None


def set_seal_key(db: Connection, id: int, seal_key_id: str) -> None:
    """Records the id of the key of an app that has none yet."""
    db.execute(SQL["set_seal_key"], {"id": id, "seal_key_id": seal_key_id})


async def names_by_id(store: Store) -> dict[int, str]:
    """Returns the names of the apps by id."""
    return dict(await store.fetch_all(SQL["list_app_names"]))


async def list_apps(store: Store) -> list[AppRow]:
    """Lists the apps by name."""
    return [AppRow(*row) for row in await store.fetch_all(SQL["list_apps"])]
