# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores the users who may sign in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from z4j.exceptions import WrongState
from z4j.store.access import sessions
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Store

SQL = sql.load("access/users")


@dataclass(frozen=True, slots=True)
class UserRow:
    """`password_hash` is empty in lists. Times are microseconds UTC."""

    id: int
    name: str
    password_hash: str
    role: str
    created_at: int
    disabled_at: int | None


def add_user(db: Connection, name: str, password_hash: str, role: str, at: int) -> int:
    """Adds a user. Returns the row id. Raises WrongState if the name is taken."""
    if find_user(db, name) is not None:
        raise WrongState(f"A user named {name} already exists. No changes were made.")
    params = {"name": name, "password_hash": password_hash, "role": role, "at": at}
    return int(db.execute(SQL["add_user"], params).fetchone()[0])


def find_user(db: Connection, name: str) -> UserRow | None:
    """Returns a user by name in any case, or None."""
    row = db.execute(SQL["find_user"], {"name": name}).fetchone()
    return UserRow(*row) if row else None


def get_user(db: Connection, id: int) -> UserRow | None:
    """Returns a user by row id, or None."""
    row = db.execute(SQL["get_user"], {"id": id}).fetchone()
    return UserRow(*row) if row else None


def count_admins(db: Connection) -> int:
    """Returns how many administrators may sign in."""
    return int(db.execute(SQL["count_admins"]).fetchone()[0])


def set_role(db: Connection, id: int, role: str) -> None:
    """Changes the role of a user."""
    db.execute(SQL["set_role"], {"id": id, "role": role})


def set_time_zone(db: Connection, id: int, zone: str) -> None:
    """Sets the time zone in which a user reads times; "" is that of the browser."""
    db.execute(SQL["set_time_zone"], {"id": id, "time_zone": zone})


class NewsMarks(NamedTuple):
    """Up to when a user has read the news, and up to when before the page of news was opened last. Microseconds UTC."""

    read_until: int
    before: int


async def read_news_marks(store: Store, id: int) -> NewsMarks | None:
    """Returns the marks of a user, or None."""
    row = await store.fetch_one(SQL["get_news_marks"], {"id": id})
    return NewsMarks(*row) if row else None


def set_news_marks(db: Connection, id: int, marks: NewsMarks) -> None:
    """Sets the marks of a user."""
    db.execute(SQL["set_news_marks"], {"id": id, **marks._asdict()})


def set_password(db: Connection, id: int, password_hash: str) -> None:
    """Changes the password hash of a user."""
    db.execute(SQL["set_password"], {"id": id, "password_hash": password_hash})


def set_disabled(db: Connection, id: int, at: int | None) -> None:
    """Disables a user at `at` (microseconds UTC), ends the user's sessions and permanently revokes the user's API tokens; None enables the
    user again."""
    db.execute(SQL["set_disabled"], {"id": id, "at": at})
    if at is not None:
        sessions.end_sessions_of(db, id)
        db.execute(SQL["end_tokens_of"], {"id": id, "at": at})


async def list_users(store: Store) -> list[UserRow]:
    """Lists users by name, without password hashes."""
    return [UserRow(*row) for row in await store.fetch_all(SQL["list_users"])]


async def has_admin(store: Store) -> bool:
    """Whether the setup has been done."""
    row = await store.fetch_one(SQL["count_admins"])
    return bool(row and row[0])
