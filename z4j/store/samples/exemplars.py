# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads the newest ended tasks: examples of what the histograms of /metrics count."""

from __future__ import annotations

from typing import Final, NamedTuple

from z4j.rules.rollups import waited_us
from z4j.rules.tasks.states import STATES
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Store
from z4j.store.tasks import task_ids

SQL = sql.load("samples/exemplars")
READ: Final = 300
"""Tasks of each state."""


class Example(NamedTuple):
    """An ended task. Its place: app, environment, engine, name, queue (ids). Times and durations are microseconds (UTC)."""

    place: tuple[int, int, int, int, int]
    id: int
    task_id: str
    ended_at: int
    runtime_us: int | None
    waited_us: int | None


async def list_examples(store: Store) -> list[Example]:
    """Lists the newest tasks that succeeded or failed, the oldest first."""
    found = []
    for state in ("succeeded", "failed"):
        for row in await store.fetch_all(SQL["newest_of_state"], {"state": STATES[state], "limit": READ}):
            *place, id, task_id, ended_at, runtime_us, attempt, enqueued, eta, eta_attempt, received, received_attempt, started = row
            attempt = attempt or 0
            waited = waited_us(
                attempt, enqueued, eta if eta_attempt == attempt else None, received if received_attempt == attempt else None, started
            )
            found.append(Example(tuple(place), id, task_ids.decode(task_id), ended_at, runtime_us, waited))
    return sorted(found, key=lambda example: example.ended_at)
