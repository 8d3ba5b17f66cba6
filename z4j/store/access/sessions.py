# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores signed-in sessions and one-time login links. Ids and secrets are stored as SHA-256 only."""

from __future__ import annotations

from typing import NamedTuple

from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Store

SQL = sql.load("access/sessions")


class SessionOwner(NamedTuple):
    """Who a session belongs to. `seen_at`, and `news_at` up to which the news were read, are microseconds UTC; `time_zone` is "" for that
    of the browser."""

    user_id: int
    name: str
    role: str
    seen_at: int
    time_zone: str
    news_at: int


def add_session(db: Connection, hash: bytes, user_id: int, at: int, expires_at: int, address: str, client: str) -> None:
    """Adds a session of a user who signed in from `address` with `client` (the User-Agent, shortened)."""
    params = {"hash": hash, "user_id": user_id, "at": at, "expires_at": expires_at, "address": address, "client": client[:200]}
    db.execute(SQL["add_session"], params)
    db.execute(SQL["end_old_sessions"], {"at": at})


def touch_session(db: Connection, hash: bytes, at: int) -> None:
    """Records the last use of a session, in microseconds UTC."""
    db.execute(SQL["touch_session"], {"hash": hash, "at": at})


def end_session(db: Connection, hash: bytes) -> None:
    """Deletes a session."""
    db.execute(SQL["end_session"], {"hash": hash})


def end_sessions_of(db: Connection, user_id: int) -> None:
    """Signs a person out everywhere."""
    db.execute(SQL["end_sessions_of"], {"user_id": user_id})


def add_link(db: Connection, hash: bytes, purpose: str, expires_at: int, user_id: int | None = None) -> None:
    """Adds a link for `setup` or `login` that works once, until `expires_at` (microseconds UTC)."""
    db.execute(SQL["add_link"], {"hash": hash, "purpose": purpose, "user_id": user_id, "expires_at": expires_at})


def use_link(db: Connection, hash: bytes, purpose: str, at: int) -> int | None:
    """Uses a link up. Returns its user id (0 for setup), or None if the link is not valid."""
    row = db.execute(SQL["use_link"], {"hash": hash, "purpose": purpose, "at": at}).fetchone()
    return int(row[0]) if row else None


async def check_link(store: Store, hash: bytes, purpose: str, at: int) -> bool:
    """Whether it would still work; does not use it up."""
    return await store.fetch_one(SQL["check_link"], {"hash": hash, "purpose": purpose, "at": at}) is not None


async def find_session(store: Store, hash: bytes, at: int, idle_since: int) -> SessionOwner | None:
    """Returns the owner of a valid session, or None."""
    row = await store.fetch_one(SQL["find_session"], {"hash": hash, "at": at, "idle_since": idle_since})
    return SessionOwner(*row) if row else None
