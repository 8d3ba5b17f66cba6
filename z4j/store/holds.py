# SPDX-License-Identifier: AGPL-3.0-or-later
"""Holds: the queues that operators have paused."""

from __future__ import annotations

from dataclasses import dataclass

from z4j.store import sql
from z4j.store.db import Connection, Store

SQL = sql.load("holds")


@dataclass(frozen=True, slots=True)
class HoldRow:
    """A queue that is, or was, paused. Times are microseconds UTC; `ended_at` is None while it is paused."""

    id: int
    app: str
    app_id: int
    environment: str
    engine: str
    queue: str
    at: int
    asked_by: str
    reason: str
    ended_at: int | None


def begin_hold(db: Connection, app_id: int, environment: str, engine: str, queue: str, at: int, by: str, reason: str) -> None:
    """Note that a queue is paused; twice is once."""
    db.execute(
        SQL["begin_hold"],
        {"app_id": app_id, "environment": environment, "engine": engine, "queue": queue, "at": at, "by": by, "reason": reason},
    )


def end_hold(db: Connection, app_id: int, environment: str, engine: str, queue: str, at: int, by: str) -> None:
    """Note that it goes on."""
    params = {"app_id": app_id, "environment": environment, "engine": engine, "queue": queue, "at": at, "by": by}
    db.execute(SQL["end_hold"], params).fetchall()


async def list_holds(store: Store) -> list[HoldRow]:
    """What is paused now, oldest first."""
    return [HoldRow(*row) for row in await store.fetch_all(SQL["list_holds"])]


async def list_for_agent(store: Store, app_id: int, since: int) -> list[HoldRow]:
    """What an app's workers have to know: what is paused, and what ended since then."""
    return [HoldRow(*row) for row in await store.fetch_all(SQL["list_for_agent"], {"app_id": app_id, "since": since})]
