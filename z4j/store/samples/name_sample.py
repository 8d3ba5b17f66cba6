# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads the newest tasks of a name: which of them ran longest, and which workers they ran in."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from z4j.rules.tasks.states import STATE_NAMES
from z4j.store.names import names
from z4j.store.rollups.series_history import Place
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Store
from z4j.store.tasks import task_ids

SQL = sql.load("samples/name_sample")
READ: Final = 500
SLOWEST: Final = 8
WORKERS: Final = 8


@dataclass(frozen=True, slots=True)
class SlowTask:
    """A task of the sample; `runtime_us` in microseconds, `first_at` in microseconds UTC."""

    id: int
    task_id: str
    worker: str
    state: str
    runtime_us: int
    first_at: int


@dataclass(frozen=True, slots=True)
class NameSample:
    """What is known from the newest `read` tasks of a name in a range. `workers` are (name, tasks), those with the most first."""

    read: int
    is_cut: bool
    """Whether there may be more of them in the range."""
    slowest: tuple[SlowTask, ...]
    workers: tuple[tuple[str, int], ...]


async def sample_of_name(store: Store, place: Place, since: int) -> NameSample:
    """Reads at most `READ` tasks of a name that began since a time, in microseconds UTC."""
    params = {
        "name_id": place.id, "since": since, "limit": READ, "app_id": place.app_id, "environment_id": place.environment_id,
        "engine_id": place.engine_id,
    }  # fmt: skip
    rows = await store.fetch_all(SQL["newest_of_name"], params)
    slowest = sorted((row for row in rows if row[4] is not None), key=lambda row: (-row[4], row[0]))[:SLOWEST]
    workers = Counter(row[2] for row in rows if row[2]).most_common(WORKERS)
    texts = await names.read_texts(store, {row[2] for row in slowest} | {id for id, _ in workers})
    return NameSample(
        len(rows), len(rows) >= READ,
        tuple(SlowTask(row[0], task_ids.decode(row[1]), texts.get(row[2], ""), STATE_NAMES[row[3]], row[4], row[5]) for row in slowest),
        tuple((texts.get(id, ""), tasks) for id, tasks in workers),
    )  # fmt: skip
