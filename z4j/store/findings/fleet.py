# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads what the rules of findings look at of processes: who is connected, what runs, and why tasks ended. Every read is bounded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from z4j.rules.findings.finding import Scope
from z4j.rules.findings.fleet.process import Process
from z4j.rules.findings.fleet.stuck_tasks import RunningTask
from z4j.rules.findings.fleet.worker_restarts import KILLED, RecentEnd
from z4j.rules.tasks.states import STATES
from z4j.store.findings.activity import Subject, Texts
from z4j.store.fleet.agents import RESTARTED
from z4j.store.names.name_limits import OTHERS
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Row, Store

SQL = sql.load("findings/fleet")
PROCESSES: Final = 5_000
RUNNING: Final = 5_000
ENDS: Final = 1_000
"""Newest tasks of a state that are read: with more of them, the relevant names are among them."""
NEWEST: Final = 100
"""Newest tasks of a name that are read to detect whether one has run since."""
NAMES: Final = 1_000


@lru_cache(4_096)
def _versions(text: str) -> dict[str, str]:
    versions: dict[str, str] = json.loads(text)
    return versions


@lru_cache(4_096)
def _queues(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


async def list_processes(store: Store, since: int) -> list[tuple[int, Process]]:
    """Returns (app id, process) of the processes seen since a time in microseconds UTC."""
    rows = await store.fetch_all(SQL["list_processes"], {"since": since, "limit": PROCESSES})
    return await asyncio.to_thread(_processes, rows)  # of thousands it takes longer than a page


def _processes(rows: list[Row]) -> list[tuple[int, Process]]:
    found = []
    for row in rows:
        (
            app_id, app, environment, boot, host, role, worker, seat, release, engines, pool, queues, options, began_at, seen_at, left_at,
            left_reason, is_orderly, skew, spool_bytes,
        ) = row  # fmt: skip
        process = Process(
            scope=Scope(app, environment), boot=boot, host=host, role=role, worker=worker, seat=seat, release=release,
            engines=_versions(engines), pool=pool, queues=_queues(queues), options=_versions(options), began_at=began_at,
            seen_at=max(seen_at, left_at or 0) if left_reason == RESTARTED else seen_at, left_at=left_at, is_orderly=bool(is_orderly),
            skew_us=skew, spool_bytes=spool_bytes,
        )  # fmt: skip
        found.append((app_id, process))
    return found


async def count_held(store: Store, boots: Iterable[tuple[int, str]]) -> dict[tuple[int, str], int]:
    """Returns (app id, boot) → the tasks that were running there; without those that had none."""
    listed = json.dumps([list(boot) for boot in boots])
    return {(app_id, boot): tasks for app_id, boot, tasks in await store.fetch_all(SQL["count_held"], {"boots": listed})}


async def list_running(store: Store, since: int, before: int) -> list[RunningTask]:
    """Returns the tasks that processes seen since `since` report as running since before `before`."""
    rows = await store.fetch_all(SQL["list_running"], {"since": since, "before": before, "limit": RUNNING})
    return [RunningTask(Scope(app, environment, engine), name, worker, at) for app, environment, engine, name, worker, at in rows]


async def list_ends(store: Store, since: int, recent: int) -> list[RecentEnd]:
    """Returns tasks that were lost, rejected, or failed with their process since `recent`, of those first seen since `since`."""
    found, texts = [], Texts(store)
    for state, reason in (("lost", ""), ("rejected", ""), ("failed", KILLED)):
        params = {"state": STATES[state], "since": since, "recent": recent, "reason": reason, "limit": ENDS, "newest": NEWEST}
        rows = await store.fetch_all(SQL["recent_ends"], params)
        await texts.load(rows, 4)
        for row in rows:
            scope, name = texts.subject(row)
            if name:
                tasks, first_at, last_at, ran, is_there, at = row[6:]
                queue, why = texts.text(row[4]), row[5] or ""
                found.append(RecentEnd(scope, name, queue, state, why, tasks, first_at, last_at, ran, bool(is_there), at))
    return found


async def list_unregistered(store: Store) -> dict[Subject, tuple[str, int]]:
    """Returns the names of queued tasks that are not registered, each with a queue and the number of its tasks."""
    rows = await store.fetch_all(SQL["unregistered_names"], {"limit": NAMES})
    texts = Texts(store)
    await texts.load(rows, 4)
    found: dict[Subject, tuple[str, int]] = {}
    for row in rows:
        subject = texts.subject(row)
        if subject[1] and subject[1] != OTHERS:
            queue, tasks = found.get(subject, (texts.text(row[4]), 0))
            found[subject] = queue, tasks + row[5]
    return found
