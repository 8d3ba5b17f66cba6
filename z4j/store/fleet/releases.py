# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores when each release was first seen, and reads when the processes of a worker began: the marks of charts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Store

SQL = sql.load("fleet/releases")
MOST = 24
"""Marks of one kind on a chart; with more, none could be read."""


@dataclass(frozen=True, slots=True)
class ReleaseSight:
    """When a release of an app was first seen in an environment, in microseconds UTC."""

    app: str
    environment: str
    release: str
    at: int


@dataclass(frozen=True, slots=True)
class WorkerStart:
    """When a process of a worker began, in microseconds UTC, with its release ("": unknown)."""

    at: int
    pid: int
    release: str


def record_sight(db: Connection, app_id: int, environment_id: int, release_id: int, at: int) -> None:
    """Records that a process of a release began then. Nothing is recorded without a release or a time."""
    if release_id and at > 0:
        db.execute(SQL["put_sight"], {"app_id": app_id, "environment_id": environment_id, "release_id": release_id, "at": at})


async def list_sights(
    store: Store, since: int, until: int, *, app: str = "", environment: str = "", limit: int = MOST
) -> list[ReleaseSight]:
    """Lists the releases first seen in a range (microseconds UTC), the newest first; "" is any app or environment."""
    params = {"since": since, "until": until, "app": app, "environment": environment, "limit": limit}
    return [ReleaseSight(*row) for row in await store.fetch_all(SQL["list_sights"], params)]


async def first_sights(store: Store, release_ids: Iterable[int], *, app: str = "") -> dict[str, int]:
    """Returns when each of some releases was first seen, in microseconds UTC, by its name."""
    return dict(await store.fetch_all(SQL["first_sights"], {"ids": json.dumps(list(release_ids)), "app": app}))


async def list_starts(store: Store, app_id: int, environment: str, worker_id: int, since: int, until: int) -> list[WorkerStart]:
    """Lists when the processes of a worker began, the newest first."""
    params = {
        "app_id": app_id, "environment": environment, "worker_id": worker_id, "since": since, "until": until, "limit": MOST,
    }  # fmt: skip
    return [WorkerStart(*row) for row in await store.fetch_all(SQL["list_starts"], params)]
