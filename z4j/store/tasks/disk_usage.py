# SPDX-License-Identifier: AGPL-3.0-or-later
"""Estimates the space that each app and each kind of data takes, from exact counts and a sample. Reads only."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Final, Literal

from z4j.store.logs import log_deletion
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Store

SQL = sql.load("tasks/disk_usage")
SAMPLE: Final = 600
FEW: Final = 5
"""Of an app with fewer sampled tasks, the mean of all apps is taken."""
FEW_NAMES: Final = 1_000
COUNTER_BYTES: Final = 60
ROLLUP_BYTES: Final = 40
EMPTY_BYTES: Final = 800_000
"""A database without anything in it."""
LEAST_SCALE: Final = 0.3
LARGEST_SCALE: Final = 3.0
"""Indexes and half-empty pages make the real sizes differ from the estimate, but not by more."""

Kind = Literal["tasks", "statistics", "errors", "listed", "logs"]


@dataclass(frozen=True, slots=True)
class Part:
    """About how many bytes one kind of data of one app takes: tasks with runs, originals and failures, sums per minute, hour and day,
    groups of failures with their hours, what its processes have listed (queues and task names), or log lines."""

    app_id: int
    kind: Kind
    bytes: int
    rows: int = 0


async def measure(store: Store, used: int) -> list[Part]:
    """Returns every part of the database, the largest first. Their sum is about the part of the `used` bytes that nothing else accounts
    for."""
    tasks = {app_id: (count, rows) for app_id, count, rows in await store.fetch_all(SQL["count_by_app"])}
    statistics: dict[int, int] = dict(await store.fetch_all(SQL["count_rollups"]))
    names = await _bytes_of_names(store)
    means = await _mean_bytes(store)
    overall = sum(means.values()) / len(means) if means else 0
    parts = [Part(app_id, "listed", size, rows) for app_id, size, rows in await store.fetch_all(SQL["count_known"])]
    parts += [Part(app_id, "errors", size, rows) for app_id, size, rows in await store.fetch_all(SQL["count_errors"])]
    parts += [Part(used.app_id, "logs", used.bytes, used.lines) for used in await log_deletion.list_usage(store)]
    for app_id in tasks.keys() | statistics.keys():
        count, counters = tasks.get(app_id, (0, 0))
        rows = statistics.get(app_id, 0)
        # Names are in use for as long as either refers to them: they count for the one that has more of them.
        of_statistics = names.get(app_id, 0) * rows // max(rows + counters, 1)
        of_tasks = names.get(app_id, 0) - of_statistics
        parts.append(Part(app_id, "tasks", int(count * means.get(app_id, overall)) + counters * COUNTER_BYTES + of_tasks, count))
        parts.append(Part(app_id, "statistics", rows * ROLLUP_BYTES + of_statistics, rows))
    total = sum(part.bytes for part in parts)
    others = (await store.fetch_one(SQL["weigh_others"]) or (0,))[0]
    scale = min(max((used - others - EMPTY_BYTES) / total, LEAST_SCALE), LARGEST_SCALE) if total else 1.0
    return sorted((replace(part, bytes=int(part.bytes * scale)) for part in parts), key=lambda part: -part.bytes)


async def _bytes_of_names(store: Store) -> dict[int, int]:
    """Bytes of names by app; nothing where they are few."""
    count, size = await store.fetch_one(SQL["weigh_names"]) or (0, 0)
    if count < FEW_NAMES:
        return {}
    used: dict[int, int] = dict(await store.fetch_all(SQL["count_names"]))
    return {app_id: size * name_bytes // max(sum(used.values()), 1) for app_id, name_bytes in used.items()}


async def _mean_bytes(store: Store) -> dict[int, float]:
    row = await store.fetch_one(SQL["id_range"])
    if row is None or row[0] is None:
        return {}
    ids = sorted(random.randint(row[0], row[1]) for _ in range(SAMPLE))  # noqa: S311 -- a sample, no secret
    sizes: defaultdict[int, list[int]] = defaultdict(list)
    for app_id, size in await store.fetch_all(SQL["sample_tasks"], {"ids": json.dumps(ids)}):
        sizes[app_id].append(size)
    everything = [size for task_sizes in sizes.values() for size in task_sizes]
    overall = sum(everything) / len(everything)
    return {app_id: sum(task_sizes) / len(task_sizes) if len(task_sizes) >= FEW else overall for app_id, task_sizes in sizes.items()}
