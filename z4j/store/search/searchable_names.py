# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads searchable names: task names, queues, workers, schedules, errors, releases, and tasks by the prefix of their ID."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from z4j.rules.errors.group_states import GROUP_STATE_NAMES
from z4j.rules.findings.finding import Scope
from z4j.rules.tasks.states import STATE_NAMES
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Row, Store
from z4j.store.tasks import task_ids

SQL = sql.load("search/searchable_names")
MOST: Final = 5_000
"""Maximum names of a kind. Further task names are found by prefix, others on their own pages."""
MOST_ERRORS: Final = 1_000


class Place(NamedTuple):
    """A queue or a worker; of a worker the engine is empty."""

    scope: Scope
    name: str


class ScheduleName(NamedTuple):
    """A schedule by name."""

    id: int
    name: str
    app: str
    environment: str
    scheduler: str
    task_name: str


class ErrorTitle(NamedTuple):
    """An error by title."""

    id: int
    title: str
    app: str
    state: str


class FoundTask(NamedTuple):
    """A task by its id."""

    id: int
    task_id: str
    name: str
    app: str
    state: str


@dataclass(frozen=True, slots=True)
class Directory:
    """A snapshot of all names."""

    names: list[str] = field(default_factory=list)
    queues: list[Place] = field(default_factory=list)
    workers: list[Place] = field(default_factory=list)
    schedules: list[ScheduleName] = field(default_factory=list)
    errors: list[ErrorTitle] = field(default_factory=list)
    releases: list[str] = field(default_factory=list)


async def read_directory(store: Store, workers_since: int) -> Directory:
    """Reads all lists at once; workers are those seen since a time in microseconds UTC."""

    def read(db: sqlite3.Connection) -> dict[str, list[Row]]:
        params = {"limit": MOST, "since": workers_since}
        wanted = {"list_errors": {"limit": MOST_ERRORS}}
        blocks = ("list_names", "list_queues", "list_workers", "list_schedules", "list_errors", "list_releases")
        return {block: db.execute(SQL[block], wanted.get(block, params)).fetchall() for block in blocks}

    rows = await store.read(read)
    return Directory(
        names=[row[0] for row in rows["list_names"]],
        queues=[Place(Scope(app, environment, engine), name) for app, environment, engine, name in rows["list_queues"]],
        workers=[Place(Scope(app, environment), name) for app, environment, name in rows["list_workers"]],
        schedules=[ScheduleName(*row) for row in rows["list_schedules"]],
        errors=[ErrorTitle(id, title, app, GROUP_STATE_NAMES[state]) for id, title, app, state in rows["list_errors"]],
        releases=[row[0] for row in rows["list_releases"]],
    )


async def names_from(store: Store, prefix: str, limit: int) -> list[str]:
    """Returns task names that begin with a text."""
    return [row[0] for row in await store.fetch_all(SQL["list_names_from"], {"prefix": prefix, "limit": limit})]


async def tasks_from(store: Store, prefix: str, limit: int) -> list[FoundTask]:
    """Returns tasks whose id begins with a text, in the order of their ids."""
    found: list[FoundTask] = []
    for low, high in task_ids.ranges(prefix):
        rows = await store.fetch_all(SQL["list_task_ids"], {"low": low, "high": high, "limit": limit - len(found)})
        found += [FoundTask(id, task_ids.decode(raw), name, app, STATE_NAMES[state]) for id, raw, name, app, state in rows]
        if len(found) >= limit:
            break
    return [task for task in found if task.task_id.startswith(prefix)]
