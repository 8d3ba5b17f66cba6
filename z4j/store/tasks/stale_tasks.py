# SPDX-License-Identifier: AGPL-3.0-or-later
"""Lists tasks whose time has come, and tasks whose process is gone, for background duties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from z4j.rules.tasks.fold import attempt_of
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Row, Store
from z4j.store.tasks import task_ids
from z4j.wire.frames import RunningItem

SQL = sql.load("tasks/stale_tasks")

LIMIT: Final = 500
REST_BYTES: Final = 256 * 1024
"""A spool with no more than one batch left is as good as shipped: a busy one is never quite empty."""


@dataclass(frozen=True, slots=True)
class StaleTask:
    """A task and the run that holds or held it. `at`: its eta (due) or the newest that is known of it (µs UTC)."""

    app_id: int
    engine: str
    task_id: str
    attempt: int
    at: int
    run: str
    worker: str
    environment: str = ""
    host: str = ""
    left_at: int | None = None
    """When the connection of its process ended; None while it is connected."""
    left_reason: str = ""
    row: int = 0
    is_newest: bool = True
    """Whether the engine, which knows ids only, would answer for this execution."""
    started_at: int | None = None


async def list_due(store: Store, at: int) -> list[StaleTask]:
    """Lists scheduled tasks whose eta has passed."""
    return _held(await store.fetch_all(SQL["list_due"], {"at": at, "limit": LIMIT}))


async def list_orphaned(store: Store, settle_us: int) -> list[StaleTask]:
    """Tasks whose process is proven gone and has nothing more to tell; `settle_us` after its connection ended."""
    return _held(await store.fetch_all(SQL["list_orphaned"], {"settle": settle_us, "rest": REST_BYTES, "limit": LIMIT}))


async def list_disconnected(store: Store, before: int) -> list[StaleTask]:
    """Tasks whose process left before then, proven gone or not; the longest away first."""
    return _held(await store.fetch_all(SQL["list_disconnected"], {"before": before, "limit": LIMIT}))


async def list_timed_out(store: Store, since: int) -> list[StaleTask]:
    """Tasks whose process left before then and was not heard of again."""
    return _held(await store.fetch_all(SQL["list_timed_out"], {"since": since, "limit": LIMIT}))


async def list_missing_from_heartbeat(store: Store, settle_us: int) -> list[StaleTask]:
    """Lists tasks that a connected worker took more than `settle_us` microseconds ago and no longer reports, though no end was reported."""
    params = {"settle": settle_us, "rest": REST_BYTES, "limit": LIMIT * 10}
    held = _held(await store.fetch_all(SQL["list_held"], params))
    if not held:
        return []
    running = await list_running(store)
    listed = {(item.app_id, item.engine, item.task_id) for item in running}
    started = {(item.app_id, item.engine, item.task_id, item.at) for item in running}

    def is_listed(task: StaleTask) -> bool:
        key = (task.app_id, task.engine, task.task_id)
        return key in listed if task.is_newest else (*key, task.started_at) in started

    return [task for task in held if not is_listed(task)][:LIMIT]


async def list_reappeared(store: Store, since: int) -> list[StaleTask]:
    """Tasks said to be lost that a connected worker lists as running; the run is the one that holds them."""
    lost = _held(await store.fetch_all(SQL["list_lost"], {"since": since, "limit": LIMIT * 10}))
    if not lost:
        return []
    by_key = {(task.app_id, task.engine, task.task_id, task.attempt): task for task in lost}
    return [
        StaleTask(task.app_id, task.engine, task.task_id, task.attempt, known.at, task.run, task.worker, row=known.row)
        for task in await list_running(store)
        if task.at and (known := by_key.get((task.app_id, task.engine, task.task_id, task.attempt))) is not None
    ]


_running = msgspec.json.Decoder(list[RunningItem])


async def list_running(store: Store) -> list[StaleTask]:
    """Lists the tasks that connected workers reported as running; `at` is when each started, 0 while it is only reserved."""
    return [
        StaleTask(app_id, task.engine, task.task_id, task.attempt, task.started_at, f"{boot}.{task.pid}", worker or "")
        for app_id, boot, worker, running in await store.fetch_all(SQL["list_running"])
        for task in _running.decode(running)
    ]


def _held(rows: list[Row]) -> list[StaleTask]:
    return [_one(*row) for row in rows]


def _one(
    row: int, is_newest: int, started_at: int | None, app_id: int, engine: str, task_id: bytes, key: int, at: int, boot: str | None,
    pid: int, worker: str | None, environment: str | None = "", host: str = "", left_at: int | None = None, left_reason: str = "",
) -> StaleTask:  # fmt: skip
    return StaleTask(
        app_id, engine, task_ids.decode(task_id), attempt_of(key), at, _token(boot, pid), worker or "", environment or "", host, left_at,
        left_reason, row, bool(is_newest), started_at,
    )  # fmt: skip


def _token(boot: str | None, pid: int) -> str:
    return "" if boot is None else f"{boot}.{pid}" if pid >= 0 else boot
