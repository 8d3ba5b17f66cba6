# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads the sources of a queue: by task name from the sums, by caller from the newest tasks."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Final

from z4j.rules.history.callers import Caller, caller_of
from z4j.rules.rollups import HOUR, HOUR_US, MINUTE, MINUTE_US
from z4j.store.names import names
from z4j.store.rollups import rollups
from z4j.store.rollups.rollups import Range
from z4j.store.rollups.series_history import Place, counted_from
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Store
from z4j.store.tasks import task_ids
from z4j.store.tasks.tasks import sent_fields

SQL = sql.load("samples/queue_sample")
WEEK_US: Final = 7 * 24 * HOUR_US
SAMPLED: Final = 500
READ: Final = 1_000
"""Tasks of the queue's name that are read to find `SAMPLED` of this queue: other apps may have one of the same name."""
NAMES: Final = 2_000
"""Series that are looked up: one for each task name."""
FINE: Final = 100
"""Of these the minutes are read."""


@dataclass(frozen=True, slots=True)
class Callers:
    """How many of the newest tasks each caller sent, and of how many."""

    tasks: dict[Caller, int]
    read: int


async def entered_by_name(store: Store, place: Place, now: int) -> tuple[dict[str, int], dict[str, int] | None]:
    """Returns how many tasks of each name entered a queue in the last 60 minutes, and in this hour a week ago; None where there are no sums
    of that time."""
    params = {
        "queue_id": place.id, "app_id": place.app_id, "environment_id": place.environment_id, "engine_id": place.engine_id, "limit": NAMES,
    }  # fmt: skip
    series = {row[0]: row[1] for row in await store.fetch_all(SQL["queues_filled"], params)}
    latest = await rollups.by_series(store, series, Range(HOUR, now - HOUR_US, now + 1))
    most = sorted(latest, key=lambda id: -latest[id].enqueued)[:FINE]
    until = now // MINUTE_US * MINUTE_US + MINUTE_US
    recent = await rollups.by_series(store, most, Range(MINUTE, until - HOUR_US, until))
    hour = (now - WEEK_US) // HOUR_US * HOUR_US
    first = await counted_from(store, HOUR)
    past = (
        await rollups.by_series(store, series, Range(HOUR, hour, hour + HOUR_US)) if first is not None and first < hour + HOUR_US else None
    )
    texts = await names.read_texts(store, series.values())

    def by_name(sums: dict[int, rollups.Sums]) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for id, each in sums.items():
            if each.enqueued > 0:
                counts[texts.get(series[id], "")] += each.enqueued
        return dict(counts)

    return by_name(recent), None if past is None else by_name(past)


async def callers_before(store: Store, place: Place, before: int, since: int) -> Callers:
    """Returns who sent the newest tasks that entered a queue in a range (microseconds UTC); at most `SAMPLED` are read."""
    params = {
        "queue_id": place.id, "app_id": place.app_id, "environment_id": place.environment_id, "engine_id": place.engine_id,
        "before": before, "since": since, "read": READ, "limit": SAMPLED,
    }  # fmt: skip
    rows = await store.fetch_all(SQL["newest_of_queue"], params)
    parents: dict[int, str] = dict(await store.fetch_all(SQL["parents_of"], {"ids": json.dumps([row[0] for row in rows])}))
    ids = {row[0]: task_ids.decode(row[1]) for row in rows}
    found = await store.fetch_all(SQL["schedules_of"], {"task_ids": json.dumps(list(ids.values())), "app_id": place.app_id})
    schedules = {task_id: (id, name) for task_id, id, name in found}
    tasks: Counter[Caller] = Counter()
    # Most tasks of a queue were sent alike.
    for (schedule, parent, sent), count in Counter((schedules.get(ids[id]), parents.get(id), sent) for id, _, sent in rows).items():
        tasks[caller_of(schedule, parent, sent_fields(sent))] += count
    return Callers(dict(tasks), len(rows))
