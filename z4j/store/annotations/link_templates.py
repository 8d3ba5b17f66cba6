# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores the templates of links from the page of a task to other tools."""

from __future__ import annotations

from z4j.exceptions import WrongState
from z4j.rules.tasks.link_templates import MAX_LINKS, LinkTemplate
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Store

SQL = sql.load("annotations/link_templates")


async def list_link_templates(store: Store) -> list[LinkTemplate]:
    """Lists the templates by name."""
    return [LinkTemplate(*row) for row in await store.fetch_all(SQL["list_links"])]


def add_link_template(db: Connection, template: LinkTemplate, at: int) -> LinkTemplate:
    """Adds a template and returns it with its id. Raises WrongState if there is one of that name, or too many."""
    count, same = _count(db, template.name)
    if same:
        raise WrongState(f"A link named “{template.name}” already exists. No changes were made.", "Choose another name, or delete it.")
    if count >= MAX_LINKS:
        raise WrongState(f"The limit of {MAX_LINKS} links is reached. No changes were made.", "Delete one first.")
    id = int(db.execute(SQL["add_link"], {"name": template.name, "url": template.url, "at": at}).fetchone()[0])
    return template._replace(id=id)


def has_link_template(db: Connection, name: str) -> bool:
    """Whether there is one of that name."""
    return _count(db, name)[1] > 0


def _count(db: Connection, name: str) -> tuple[int, int]:
    count, same = db.execute(SQL["count_links"], {"name": name}).fetchone()
    return int(count), int(same)


def delete_link_template(db: Connection, id: int) -> LinkTemplate | None:
    """Deletes a template and returns it; None if there is none."""
    row = db.execute(SQL["delete_link"], {"id": id}).fetchone()
    return LinkTemplate(*row) if row is not None else None
