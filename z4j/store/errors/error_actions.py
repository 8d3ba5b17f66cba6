# SPDX-License-Identifier: AGPL-3.0-or-later
"""Changes error groups: actions of users, and changes of the server over time. Runs in the writer's
transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from z4j.rules.errors.group_states import GROUP_STATES, is_ignoring_over
from z4j.store.errors import error_changes
from z4j.store.errors.error_changes import HOUR_US
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Row, Store

SQL = sql.load("errors/error_actions")
BACKLOG: Final = 500
"""Tasks read for failures in one step."""


def set_state(
    db: Connection, id: int, state: str, *, actor: str, at: int, releases: Iterable[str] | None = None,
    until: int | None = None, rate: int | None = None, total: int | None = None,
) -> bool:  # fmt: skip
    """Gives a group a state. `releases`: those seen so far, of which none makes it regressed. Returns whether the group exists."""
    known = None if releases is None else json.dumps(sorted(releases), ensure_ascii=False)
    values = {
        "id": id, "state": GROUP_STATES[state], "at": at, "actor": actor, "releases": known, "until": until, "rate": rate, "total": total,
    }  # fmt: skip
    return bool(db.execute(SQL["set_state"], values).rowcount)


def set_assigned(db: Connection, id: int, user: str) -> bool:
    """Assigns a group, to nobody if `user` is empty. Returns whether it exists."""
    return bool(db.execute(SQL["set_assigned"], {"id": id, "value": user}).rowcount)


def set_note(db: Connection, id: int, note: str, runbook: str) -> bool:
    """Replaces note and link of a group. Returns whether it exists."""
    return bool(db.execute(SQL["set_note"], {"id": id, "note": note, "runbook": runbook}).rowcount)


def merge(db: Connection, id: int, target: int) -> bool:
    """Shows a group as part of another one of its app. Returns False if that is not possible."""
    if id == target or not db.execute(SQL["set_merged"], {"id": id, "target": target, "expected": None, "other": target}).rowcount:
        return False
    db.execute(SQL["move_fingerprints"], {"id": id, "target": target})
    sum_again(db, id, target)
    return True


def split(db: Connection, id: int, source: int) -> bool:
    """Shows a group that was merged into `source` on its own again. Returns False if it is not part of that group."""
    if not db.execute(SQL["set_merged"], {"id": id, "target": None, "expected": source, "other": source}).rowcount:
        return False
    db.execute(SQL["return_fingerprints"], {"id": id, "target": source})
    sum_again(db, id, source)
    return True


def add_action(db: Connection, id: int, actor: str, action: str, detail: str, at: int) -> None:
    """Adds a row to the history of a group."""
    error_changes.add_action(db, id, actor, action, detail, at)


def sum_again(db: Connection, *groups: int) -> None:
    """Adds up the counts of groups again from their fingerprints, which may be others than before."""
    db.write_sums()
    error_changes.forget_groups(db)
    for id in groups:
        db.execute(SQL["sum_again"], {"id": id})


# -- as time passes ----------------------------------------------------------------------------------------------------
async def list_ended(store: Store, at: int) -> list[int]:
    """Lists ignored groups whose limit was reached."""
    rows = await store.fetch_all(SQL["list_ignored"], {"hour": at // HOUR_US})
    return [id for id, until, rate, total, failed, in_hour in rows if is_ignoring_over(at, failed, in_hour, until, rate, total)]


def end_ignoring(db: Connection, ids: Iterable[int], at: int) -> None:
    """Shows groups as unresolved again."""
    for id in ids:
        if db.execute(SQL["end_ignoring"], {"id": id, "at": at}).rowcount:
            add_action(db, id, "", "unignored", "the ignore limit was reached", at)


async def list_backlog(store: Store, below: int) -> list[Row]:
    """Lists (row id, whether it may have failures) of some tasks below a row, the highest first."""
    return await store.fetch_all(SQL["list_backlog"], {"task": below, "limit": BACKLOG})


def group_backlog(db: Connection, rows: list[Row]) -> None:
    """Groups the failures of listed tasks, and notes how far that has got; without tasks, that it is done."""
    if not rows:
        db.execute(SQL["end_backlog"])
        return
    error_changes.note(db, [id for id, may_have in rows if may_have])
    error_changes.write(db)
    db.execute(SQL["put_backlog"], {"task": rows[-1][0]})
