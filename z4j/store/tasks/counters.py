# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads exact counts for the facets of the task list. They are updated with every write (see `task_writer`); no page ever counts tasks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from z4j.rules.tasks.states import STATE_NAMES
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Store
from z4j.store.tasks import task_search
from z4j.store.tasks.task_search import TaskFilter

SQL = sql.load("tasks/counters")
TASKS = sql.load("tasks/tasks")

Facet = list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Counts:
    """Values of each facet with their number of tasks, most first. Each facet ignores the filter on itself."""

    by_state: Facet = field(default_factory=list)
    by_name: Facet = field(default_factory=list)
    by_queue: Facet = field(default_factory=list)
    by_engine: Facet = field(default_factory=list)
    by_environment: Facet = field(default_factory=list)
    by_app: Facet = field(default_factory=list)


def values_of(facet: Facet) -> tuple[str, ...]:
    """Returns the values of a facet in alphabetical order, without the empty one."""
    return tuple(sorted(value for value, _ in facet if value))


async def count_scopes(store: Store) -> Counts:
    """Apps, environments and engines alone, without a filter: for every page, so it reads each counter once and joins nothing else."""
    sums: dict[str, Counter[str]] = {"by_app": Counter(), "by_environment": Counter(), "by_engine": Counter()}
    for app, environment, engine, tasks in await store.fetch_all(SQL["count_scopes"]):
        for facet, value in (("by_app", app), ("by_environment", environment), ("by_engine", engine)):
            if value is not None:
                sums[facet][value] += tasks
    return Counts(**{facet: sorted(counts.items(), key=lambda item: (-item[1], item[0])) for facet, counts in sums.items()})


async def count_matching(store: Store, f: TaskFilter) -> int | None:
    """Returns how many tasks match; None for conditions without counters. Raises BadInput for an unknown state."""
    if not f.is_counted:
        return None
    params = await task_search.resolve(store, f)
    row = await store.fetch_one(TASKS["weigh"], params) if params is not None else None
    return int(row[3]) if row else 0


async def count_tasks(store: Store, f: TaskFilter) -> Counts | None:
    """Returns the facets under a filter; None for conditions without counters (see `TaskFilter.is_counted`).

    Raises BadInput for an unknown state.
    """
    params = await task_search.resolve(store, f)
    if not f.is_counted:
        return None
    if params is None:
        return Counts()
    facets: dict[str, Facet] = {}
    for facet, text, tasks in await store.fetch_all(SQL["count_facets"], params):
        value = STATE_NAMES[int(text)] if facet == "state" else text
        facets.setdefault(f"by_{facet}", []).append((value, tasks))
    for facet in facets.values():
        facet.sort(key=lambda item: (-item[1], item[0]))
    return Counts(**facets)


async def list_counters(store: Store, limit: int) -> list[tuple[int, int, int, int, int, int, int]]:
    """Lists counters by ids: app, environment, engine, name, queue, then the code of the state and the number of tasks."""
    return [
        (row[0], row[1], row[2], row[3], row[4], row[5], row[6]) for row in await store.fetch_all(SQL["list_counters"], {"limit": limit})
    ]
