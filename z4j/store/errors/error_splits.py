# SPDX-License-Identifier: AGPL-3.0-or-later
"""Splits a part off from an error group. New failures are assigned immediately, see `error_changes`; stored ones are moved here, newest
first, in steps. A merge undoes a split; the part can be split off again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final, NamedTuple

from z4j.exceptions import WrongState
from z4j.rules.errors.group_states import CURED
from z4j.rules.errors.splits import CODE, MESSAGE, Split, part_key
from z4j.store.errors import error_actions, error_changes, error_groups
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Store
from z4j.store.tasks.task_search import END_OF_TIME

SQL = sql.load("errors/error_splits")
STEP: Final = 200
"""Stored failures read in one step."""
MOST_SPLITS: Final = 200
"""Maximum splits of one app: every failure of a fingerprint is compared with its splits."""
NOTHING_CHANGED: Final = "No changes were made."


class Part(NamedTuple):
    """A group that was split off from another one, or the one it was split off from."""

    id: int
    title: str
    split: Split
    is_running: bool
    """Whether stored failures are still being moved."""


def split_off(db: Connection, id: int, split: Split) -> int:
    """Creates a group of the matching failures of another one. Returns its ID, 0 if the other one is merged or deleted.

    Raises WrongState if none of the newest failures matches, or all do.
    """
    fingerprints = db.execute(SQL["list_fingerprints"], {"id": id}).fetchall()
    if not fingerprints:
        return 0
    app_id = fingerprints[0][2]
    of_split = {"kind": split.kind, "pattern": split.pattern}
    splits, same = db.execute(SQL["count_splits"], {"id": id, "app_id": app_id, **of_split}).fetchone()
    if same:
        raise WrongState(
            f"This part was split off before. {NOTHING_CHANGED}", "It is listed as a part of this error or under merged errors."
        )
    if splits + len(fingerprints) > MOST_SPLITS:
        raise WrongState(f"An app has at most {MOST_SPLITS} splits. {NOTHING_CHANGED}")
    shown = {
        "message": split.pattern if split.kind == MESSAGE else "", "function": split.pattern if split.kind == CODE else "",
        "first_at": END_OF_TIME, "last_at": 0,
    }  # fmt: skip
    group = int(db.execute(SQL["add_part_group"], {"id": id, **shown}).fetchone()[0])
    made: list[tuple[int, int]] = []
    for fingerprint, key, _ in fingerprints:
        values = (app_id, part_key(key, split), group, END_OF_TIME, 0)
        part = db.execute(error_changes.SQL["add_fingerprint"], values).fetchone()[0]
        row = {"fingerprint": fingerprint, "part": part, "at": END_OF_TIME, "task": 0, **of_split}
        made.append((part, db.execute(SQL["add_split"], row).fetchone()[0]))
    error_changes.forget_groups(db)
    steps = [continue_split(db, each) for _, each in made]
    if not any(_has_failures(db, part) for part, _ in made):
        raise WrongState(f"None of the newest failures matches {split.text}. {NOTHING_CHANGED}", "Check the pattern.")
    if all(steps) and not any(_has_failures(db, fingerprint) for fingerprint, *_ in fingerprints):
        raise WrongState(
            f"Every stored failure matches {split.text}, so nothing would be left. {NOTHING_CHANGED}", "Use a narrower pattern."
        )
    return group


def _has_failures(db: Connection, fingerprint: int) -> bool:
    return bool(db.execute(SQL["has_failures"], {"id": fingerprint}).fetchone()[0])


def continue_split(db: Connection, id: int) -> bool:
    """Moves the next stored failures of a split. Returns whether all were read."""
    row = db.execute(SQL["get_unfinished"], {"id": id}).fetchone()
    if row is None:
        return True
    fingerprint, kind, at, task = row
    failures = db.execute(
        error_groups.SQL["list_newest"], {"fingerprint": fingerprint, "kind": kind, "at": at, "task": task, "limit": STEP}
    ).fetchall()
    error_changes.note(db, [each for each, _ in failures])
    error_changes.write(db)
    if len(failures) == STEP:
        db.execute(SQL["put_left"], {"id": id, "kind": kind, "task": failures[-1][0], "at": failures[-1][1]})
        return False
    is_over = kind == CURED
    db.execute(SQL["put_left"], {"id": id, "kind": None if is_over else kind + 1, "at": END_OF_TIME, "task": 0})
    if not is_over:
        return continue_split(db, id)
    db.write_sums()
    group = db.execute(SQL["see_again"], {"id": fingerprint}).fetchone()[0]
    error_actions.sum_again(db, group)
    return True


async def list_unfinished(store: Store) -> list[int]:
    """Lists splits with unread stored failures."""
    return [row[0] for row in await store.fetch_all(SQL["list_unfinished"])]


async def list_messages(store: Store, failures: Sequence[tuple[int, int]]) -> list[tuple[str, str]]:
    """Returns (message, traceback) of some failures, given as (task row, time)."""
    return [(row[0], row[1]) for row in await store.fetch_all(SQL["list_messages"], {"failures": json.dumps(failures)})]


async def list_parts(store: Store, id: int) -> list[Part]:
    """Returns the groups that were split off from a group and are not merged again."""
    return [_part(row) for row in await store.fetch_all(SQL["list_parts"], {"id": id})]


async def find_source(store: Store, id: int) -> Part | None:
    """Returns the group that this one was split off from; None if it was not, or was merged again."""
    row = await store.fetch_one(SQL["find_source"], {"id": id})
    return None if row is None else _part(row)


def _part(row: tuple[int, str, int, str, int]) -> Part:
    id, title, kind, pattern, is_running = row
    return Part(id, title, Split(kind, pattern), bool(is_running))
