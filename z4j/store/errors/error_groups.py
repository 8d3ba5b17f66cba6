# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads groups of failures: the list, and all data of one group."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from z4j.exceptions import BadInput
from z4j.rules.errors.group_states import CURED, FAILED, GROUP_STATE_NAMES, GROUP_STATES, OPEN, RETRIED
from z4j.store.errors.error_changes import HOUR_US
from z4j.store.names import names
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Row, Store
from z4j.store.tasks import task_search
from z4j.store.tasks.task_columns import unpack_sent
from z4j.store.tasks.task_search import END_OF_TIME

SQL = sql.load("errors/error_groups")
HOURS: Final = 24
"""Hours in the curve of a list."""
PLACES: Final = 2_000
ANY: Final = -1

Position = tuple[int, int]
"""last_at and id of a group: the order of the list."""


@dataclass(frozen=True, slots=True)
class ErrorFilter:
    """What a list of groups is narrowed to; empty means any, and no state means those that are open."""

    states: tuple[str, ...] = ()
    app: str = ""
    environment: str = ""
    engine: str = ""
    queue: str = ""
    name: str = ""
    assigned: str = ""


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Failures that are one problem. Times are microseconds UTC, None where there is none."""

    id: int
    app: str
    app_id: int
    title: str
    error_type: str
    message: str
    """Normalised: values are replaced by `*`."""
    function: str
    first_at: int
    last_at: int
    failed: int
    """Tasks that failed, the deleted ones included."""
    retried: int
    """Failed attempts of tasks that have failed or are not over."""
    cured: int
    """Failed attempts of tasks that succeeded in the end."""
    stored: int
    state: str
    state_at: int
    state_by: str
    is_by_release: bool
    """Resolved in the next release: only a run of a release that had not been seen makes it regressed."""
    ignore_until: int | None
    ignore_rate: int | None
    ignore_total: int | None
    assigned_to: str
    note: str
    runbook: str
    merged_into: int | None

    @property
    def attempts(self) -> int:
        """Failed attempts that were not the end of their task."""
        return self.retried + self.cured


class Hour(NamedTuple):
    """What happened in an hour, which begins at `at` (microseconds UTC)."""

    at: int
    failed: int
    retried: int
    cured: int


class Place(NamedTuple):
    """Where stored failures of a group happened."""

    environment: str
    engine: str
    queue: str
    name: str
    failed: int
    retried: int
    cured: int
    name_id: int


class TaskOrigin(NamedTuple):
    """Who ran a task, and where it was enqueued: `module:line` and the route of a web request."""

    worker: str
    release: str
    code: str
    route: str


class Action(NamedTuple):
    """An action on a group; `actor` is empty for the server."""

    at: int
    actor: str
    action: str
    detail: str


class Merged(NamedTuple):
    """A group that was merged into another one."""

    id: int
    title: str
    function: str


async def list_groups(store: Store, f: ErrorFilter, after: Position | None, limit: int) -> tuple[list[ErrorGroup], Position | None]:
    """Returns one page of groups, the last seen first, and the position of the next page; None on the last. Raises BadInput."""
    params = await _resolve(store, f)
    if params is None:
        return [], None
    at, id = after or (END_OF_TIME, 0)
    rows = await store.fetch_all(SQL["list_groups"], {**params, "at": at, "id": id, "limit": limit + 1})
    groups = [_group(row) for row in rows[:limit]]
    return groups, (groups[-1].last_at, groups[-1].id) if len(rows) > limit else None


async def _resolve(store: Store, f: ErrorFilter) -> dict[str, int | str] | None:
    unknown = [state for state in f.states if state not in GROUP_STATES]
    if unknown:
        raise BadInput(f"Unknown state “{unknown[0][:40]}”.", f"States are: {', '.join(GROUP_STATES)}.")
    texts = {"environment": f.environment, "engine": f.engine, "queue": f.queue, "name": f.name}
    ids = await names.find(store, texts)
    states = sum(1 << GROUP_STATES[state] for state in set(f.states or OPEN))
    params: dict[str, int | str] = {"states": states, "app_id": ANY, "assigned": f.assigned}
    for kind, text in texts.items():
        if text and kind not in ids:
            return None
        params[f"{kind}_id"] = ids.get(kind, ANY)
    if f.app:
        row = await store.fetch_one(task_search.SQL["find_app"], {"name": f.app})
        if row is None:
            return None
        params["app_id"] = row[0]
    return params


async def get_group(store: Store, id: int) -> ErrorGroup | None:
    """Returns a group, or None."""
    row = await store.fetch_one(SQL["get_group"], {"id": id})
    return None if row is None else _group(row)


async def list_hours(store: Store, ids: Iterable[int], now: int, hours: int = HOURS) -> dict[int, list[Hour]]:
    """Returns the last hours of groups, the present one last; hours without failures too."""
    first = now // HOUR_US - hours + 1
    listed = list(ids)
    known = {
        (row[0], row[1]): row[2:] for row in await store.fetch_all(SQL["list_hours"], {"ids": json.dumps(listed), "since": first})
    }  # fmt: skip
    return {
        id: [Hour(hour * HOUR_US, *known.get((id, hour), (0, 0, 0))) for hour in range(first, first + hours)] for id in listed
    }  # fmt: skip


async def list_places(store: Store, ids: Iterable[int]) -> dict[int, list[Place]]:
    """Returns where stored failures of groups happened, most first; at most `PLACES` of all."""
    places: dict[int, list[Place]] = {}
    for group, environment, engine, queue, name, *counts in await store.fetch_all(
        SQL["list_places"], {"ids": json.dumps(list(ids)), "limit": PLACES}
    ):
        places.setdefault(group, []).append(Place(environment or "", engine or "", queue or "", name or "", *counts))
    return places


async def list_newest(
    store: Store, id: int, limit: int, kinds: Sequence[int] = (FAILED, RETRIED, CURED), before: Position | None = None
) -> list[tuple[int, int]]:
    """Returns (task row, time of the failure in microseconds UTC) of a group's newest failures before (time, task row), each task once."""
    newest: dict[int, int] = {}
    for task, at in await list_every(store, id, limit, kinds, before):
        newest.setdefault(task, at)
    return list(newest.items())[:limit]


async def list_every(
    store: Store, id: int, limit: int, kinds: Sequence[int] = (FAILED, RETRIED, CURED), before: Position | None = None
) -> list[tuple[int, int]]:
    """Returns the same, a task as often as it failed; of each kind of failure at most `limit`."""
    at, task_row = before or (END_OF_TIME, 0)
    rows: list[Row] = []
    for (fingerprint,) in await store.fetch_all(SQL["list_fingerprints"], {"id": id}):
        for kind in kinds:
            rows += await store.fetch_all(
                SQL["list_newest"], {"fingerprint": fingerprint, "kind": kind, "limit": limit, "at": at, "task": task_row}
            )
    return sorted(((task, at) for task, at in rows), key=lambda row: (-row[1], -row[0]))


async def count_unended(store: Store, tasks: Iterable[int]) -> int:
    """Counts those of some tasks that wait or run."""
    row = await store.fetch_one(SQL["count_unended"], {"ids": json.dumps(sorted(tasks))})
    return int(row[0]) if row else 0


async def share_of_runs(store: Store, groups: Iterable[tuple[int, Iterable[Place]]]) -> dict[tuple[int, str], int]:
    """Returns (app, task name) → its stored tasks, of the names in the places of groups, given as (app, places)."""
    wanted: dict[tuple[int, int], str] = {}
    for app_id, places in groups:
        wanted.update(((app_id, place.name_id), place.name) for place in places)
    rows = await store.fetch_all(SQL["count_runs_of"], {"names": json.dumps(list({name_id for _, name_id in wanted}))})
    return {(app_id, wanted[app_id, name_id]): tasks for app_id, name_id, tasks in rows if (app_id, name_id) in wanted}


async def list_origins(store: Store, tasks: Iterable[int]) -> list[TaskOrigin]:
    """Returns who ran some tasks, and where they were enqueued."""
    rows = await store.fetch_all(SQL["list_origins"], {"ids": json.dumps(list(tasks))})
    return [
        TaskOrigin(worker or "", release or "", *((unpack_sent(sent)[4], unpack_sent(sent)[5]) if sent else ("", "")))
        for worker, release, sent in rows
    ]


async def group_of_task(store: Store, task: int) -> int | None:
    """Returns the group of a task's failure, or None."""
    row = await store.fetch_one(SQL["group_of_task"], {"task": task})
    return None if row is None else int(row[0])


async def list_actions(store: Store, id: int) -> list[Action]:
    """Returns the last hundred actions on a group, the newest first."""
    return [Action(*row) for row in await store.fetch_all(SQL["list_actions"], {"id": id})]


async def list_merged(store: Store, id: int) -> list[Merged]:
    """Returns the groups that were merged into one."""
    return [Merged(*row) for row in await store.fetch_all(SQL["list_merged"], {"id": id})]


async def list_releases(store: Store, app_id: int) -> list[str]:
    """Returns the releases of an app that were ever seen."""
    return [row[0] for row in await store.fetch_all(SQL["list_releases"], {"app_id": app_id})]


async def read_backlog(store: Store) -> int | None:
    """Returns below which task row failures still have to be grouped; None when all are."""
    row = await store.fetch_one(SQL["read_backlog"])
    return None if row is None else int(row[0])


async def grouped_since(store: Store) -> int | None:
    """Returns since when failures are grouped while older ones still have to be (microseconds UTC); None when all are."""
    row = await store.fetch_one(SQL["read_backlog"])
    return None if row is None else row[1]


def _group(row: Row) -> ErrorGroup:
    values: list[Any] = [*row]
    values[13], values[16] = GROUP_STATE_NAMES[row[13]], row[16] is not None
    return ErrorGroup(*values)
