# SPDX-License-Identifier: AGPL-3.0-or-later
"""Lists the groups with the most failures of a name, a queue or a worker, for their pages and for the facets of the task list."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Final, NamedTuple

from z4j.formats import plural
from z4j.rules.errors.group_states import GROUP_STATE_NAMES
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Row, Store
from z4j.store.tasks import task_search
from z4j.store.tasks.task_search import TaskFilter

SQL = sql.load("errors/top_groups")
LOOKED_AT: Final = 300
"""Groups whose counts are added up, last seen first."""
TASKS: Final = 200
"""Newest failed tasks of a worker that are counted."""
_BAD: Final = ("failed", "lost", "rejected")


class TopGroup(NamedTuple):
    """A group with its stored failed tasks and failed attempts under some conditions. `last_at` is microseconds UTC. `where` is their task
    name, or how many names they have."""

    id: int
    title: str
    function: str
    state: str
    last_at: int
    failed: int
    attempts: int
    where: str = ""


async def list_top(store: Store, f: TaskFilter, limit: int, also: str = "") -> list[TopGroup]:
    """Returns the groups with the most failures under the conditions of `f` that counters have, first the group with the number `also`."""
    params = await task_search.resolve(store, f)
    if params is None:
        return []
    wanted = int(also) if also.isascii() and also.isdigit() and len(also) < 16 else 0
    return [
        _group(row) for row in await store.fetch_all(SQL["list_top"], {**params, "also": wanted, "looked_at": LOOKED_AT, "limit": limit})
    ]


async def named(store: Store, number: str) -> list[TopGroup]:
    """Returns the group with a number, without counts; for a merged one, the group it was merged into."""
    if not (number.isascii() and number.isdigit() and len(number) < 16):
        return []
    return [_group(row) for row in await store.fetch_all(SQL["get_groups"], {"ids": json.dumps([int(number)])})]


async def list_top_of_worker(store: Store, f: TaskFilter, limit: int) -> tuple[list[TopGroup], int, bool]:
    """Returns the groups of the newest failed tasks that match, how many those tasks are, and whether there may be older ones."""
    found = await task_search.find(store, replace(f, states=_BAD), None, None, TASKS)
    rows = await store.fetch_all(SQL["count_groups_of"], {"ids": json.dumps(found.ids), "limit": limit})
    return [_group(row) for row in rows], len(found.ids), found.older is not None


async def newest_releases(store: Store, ids: Iterable[int]) -> dict[int, str]:
    """Returns group → the release in which its newest failed task ran, of those where it is known."""
    rows = await store.fetch_all(SQL["list_newest_releases"], {"ids": json.dumps(list(ids))})
    return {id: release for id, release, _ in rows if release}


def _group(row: Row) -> TopGroup:
    id, title, function, state, last_at, failed, attempts, names, name = row
    where = (name or "") if names == 1 else plural(names, "task name") if names else ""
    return TopGroup(id, title, function, GROUP_STATE_NAMES[state], last_at, failed, attempts, where)
