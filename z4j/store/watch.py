# SPDX-License-Identifier: AGPL-3.0-or-later
"""What housekeeping looks for: tasks whose time has come, and tasks whose process is gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from z4j.rules.fold import attempt_of
from z4j.rules.frames import RunningItem
from z4j.store import sql, task_ids
from z4j.store.db import Store

SQL = sql.load("watch")

LIMIT: Final = 500
REST_BYTES: Final = 256 * 1024
"""A spool with no more than one batch left is as good as shipped: a busy one is never quite empty."""


@dataclass(frozen=True, slots=True)
class Held:
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
    """When the connection of its process ended; None while it stands."""
    left_reason: str = ""


async def list_due(store: Store, at: int) -> list[Held]:
    """Scheduled tasks whose eta has passed."""
    return _held(await store.fetch_all(SQL["list_due"], {"at": at, "limit": LIMIT}))


async def list_gone(store: Store, settle_us: int) -> list[Held]:
    """Tasks whose process is proven gone and has nothing more to tell; `settle_us` after its connection ended."""
    return _held(await store.fetch_all(SQL["list_gone"], {"settle": settle_us, "rest": REST_BYTES, "limit": LIMIT}))


async def list_left(store: Store, before: int) -> list[Held]:
    """Tasks whose process left before then, proven gone or not; the longest away first."""
    return _held(await store.fetch_all(SQL["list_left"], {"before": before, "limit": LIMIT}))


async def list_unheard(store: Store, since: int) -> list[Held]:
    """Tasks whose process left before then and was not heard of again."""
    return _held(await store.fetch_all(SQL["list_unheard"], {"since": since, "limit": LIMIT}))


async def list_dropped(store: Store, settle_us: int) -> list[Held]:
    """Tasks a connected worker took more than `settle_us` ago and does not list any more, though nothing ended them."""
    params = {"settle": settle_us, "rest": REST_BYTES, "limit": LIMIT * 10}
    held = _held(await store.fetch_all(SQL["list_held"], params))
    if not held:
        return []
    listed = {(item.app_id, item.engine, item.task_id) for item in await list_running(store)}
    return [of for of in held if (of.app_id, of.engine, of.task_id) not in listed][:LIMIT]


async def list_found(store: Store, since: int) -> list[Held]:
    """Tasks said to be lost that a connected worker lists as running; the run is the one that holds them."""
    lost = _held(await store.fetch_all(SQL["list_lost"], {"since": since, "limit": LIMIT * 10}))
    if not lost:
        return []
    at = {(of.app_id, of.engine, of.task_id, of.attempt): of.at for of in lost}
    return [
        Held(of.app_id, of.engine, of.task_id, of.attempt, at[of.app_id, of.engine, of.task_id, of.attempt], of.run, of.worker)
        for of in await list_running(store)
        if of.at and (of.app_id, of.engine, of.task_id, of.attempt) in at
    ]


_running = msgspec.json.Decoder(list[RunningItem])


async def list_running(store: Store) -> list[Held]:
    """What the connected workers say they hold; `at` is when it started, 0 while it is only reserved."""
    return [
        Held(app_id, of.engine, of.task_id, of.attempt, of.started_at, f"{boot}.{of.pid}", worker or "")
        for app_id, boot, worker, running in await store.fetch_all(SQL["list_running"])
        for of in _running.decode(running)
    ]


def _held(rows: list[tuple[Any, ...]]) -> list[Held]:
    return [
        Held(app_id, engine, task_ids.decode(task_id), attempt_of(key), at, _token(boot, pid), worker or "", *_about_agent(*about))
        for app_id, engine, task_id, key, at, boot, pid, worker, *about in rows
    ]


def _about_agent(environment: str | None = "", host: str = "", left_at: int | None = None, left_reason: str = "") -> tuple[Any, ...]:
    return (environment or "", host, left_at, left_reason)


def _token(boot: str | None, pid: int) -> str:
    return "" if boot is None else f"{boot}.{pid}" if pid >= 0 else boot
