# SPDX-License-Identifier: AGPL-3.0-or-later
"""Deletes unused error groups and old hours, in steps. Called by `background.error_groups` and, if the database is too large, by
`background.retention`."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from z4j.store.errors import error_changes
from z4j.store.errors.error_changes import HOUR_US
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Store

SQL = sql.load("errors/error_retention")
SOME: Final = 200
ALL_APPS: Final = -1


@dataclass(frozen=True, slots=True)
class Unused:
    """Which groups without stored tasks are deleted: those last seen before `before`, and those with a note, a runbook or an assignee, that
    are ignored, merged or split, if they were last seen before `kept_before`. Microseconds UTC."""

    before: int
    kept_before: int
    app_id: int = ALL_APPS

    def params(self) -> dict[str, int]:
        """Returns the times for SQL."""
        return {"before": self.before, "kept_before": self.kept_before}


async def list_unused(store: Store, which: Unused) -> list[int]:
    """Lists some of these groups, the oldest first."""
    return [row[0] for row in await store.fetch_all(SQL["list_unused"], {**which.params(), "app_id": which.app_id, "limit": SOME})]


def delete_groups(db: Connection, ids: Iterable[int], which: Unused) -> int:
    """Deletes such groups if they still match. Returns how many."""
    db.write_sums()
    deleted = 0
    for id in ids:
        if not db.execute(SQL["delete_group"], {"id": id, **which.params()}).rowcount:
            continue
        deleted += 1
        merged = [row[0] for row in db.execute(SQL["delete_merged"], {"id": id}).fetchall()]
        for (fingerprint,) in db.execute(SQL["delete_fingerprints"], {"id": id}).fetchall():
            for block in ("delete_splits", "delete_places", "delete_hours_of"):
                db.execute(SQL[block], {"id": fingerprint})
        for group in (id, *merged):
            db.execute(SQL["delete_actions"], {"id": group})
    error_changes.forget_groups(db)
    return deleted


def delete_hours(db: Connection, before: int, seconds: float, app_id: int = ALL_APPS) -> tuple[bool, int]:
    """Deletes hours from before a time (microseconds UTC), of one app or of all, within the time budget. Returns (whether none is left,
    rows deleted)."""
    ends, rows, deleted = time.monotonic() + seconds, 0, SOME
    block = SQL["delete_hours"] if app_id == ALL_APPS else SQL["delete_hours_of_app"]
    params = {"before": before // HOUR_US, "limit": SOME, "app_id": app_id}
    while deleted == SOME and (time.monotonic() < ends or not rows):
        deleted = db.execute(block, params).rowcount
        rows += deleted
    return deleted < SOME, rows
