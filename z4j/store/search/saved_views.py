# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores saved queries of the task list: each belongs to a person, who may share it with all users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from z4j.exceptions import WrongState
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Store

SQL = sql.load("search/saved_views")

MAX_VIEWS: Final = 100
"""Views of one person."""


@dataclass(frozen=True, slots=True)
class TaskView:
    """A saved query, as in the URL (`state=failed&q=ran:>2s`). `changed_at` is microseconds UTC."""

    id: int
    user_id: int
    owner: str
    name: str
    query: str
    is_shared: bool
    changed_at: int


async def list_views(store: Store, user_id: int) -> list[TaskView]:
    """Lists the views of a person by name, then those that others share."""
    return [_view(row) for row in await store.fetch_all(SQL["list_views"], {"user_id": user_id})]


def get_view(db: Connection, id: int) -> TaskView | None:
    """Returns a view, or None."""
    row = db.execute(SQL["get_view"], {"id": id}).fetchone()
    return _view(row) if row else None


def add_view(db: Connection, user_id: int, name: str, query: str, at: int, *, is_shared: bool) -> int:
    """Adds a view. Returns its id. Raises WrongState if the person has one of that name, or too many."""
    count = _check_name(db, user_id, name, 0)
    if count >= MAX_VIEWS:
        raise WrongState(f"The limit of {MAX_VIEWS} views is reached. No changes were made.", "Delete one first.")
    params = {"user_id": user_id, "name": name, "query": query, "is_shared": is_shared, "at": at}
    return int(db.execute(SQL["add_view"], params).fetchone()[0])


def change_view(db: Connection, view: TaskView, name: str, at: int, *, is_shared: bool) -> None:
    """Renames, shares or unshares a view. Raises WrongState if its owner has another one of that name."""
    _check_name(db, view.user_id, name, view.id)
    db.execute(SQL["change_view"], {"id": view.id, "name": name, "is_shared": is_shared, "at": at})


def delete_view(db: Connection, id: int) -> None:
    """Deletes a view."""
    db.execute(SQL["delete_view"], {"id": id})


def _check_name(db: Connection, user_id: int, name: str, id: int) -> int:
    count, same = db.execute(SQL["count_views"], {"user_id": user_id, "name": name, "id": id}).fetchone()
    if same:
        raise WrongState(f"A view named “{name}” already exists. No changes were made.", "Choose another name.")
    return int(count)


def _view(row: tuple[int, int, str, str, str, int, int]) -> TaskView:
    return TaskView(*row[:5], bool(row[5]), row[6])
