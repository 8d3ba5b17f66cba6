# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads what the tasks of each name did in a range: the list of task names. The number of sums that are read has a bound."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from z4j.rules.history.ranges import added
from z4j.rules.rollups import DAY_US, HOUR, HOUR_US, MINUTE, STEP_US
from z4j.store.rollups import rollups
from z4j.store.rollups.rollups import NO_SUMS, Range, Sums
from z4j.store.rollups.series_history import Place, add_sums
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Store

SQL = sql.load("rollups/name_totals")
PAGE: Final = 50
MOST_READ: Final = 40_000
"""Sums that the list looks up at most: with minutes of 90 minutes, those of 444 combinations of name, queue and release."""
STEPS: Final = ((MINUTE, 2 * HOUR_US), (HOUR, 2 * DAY_US))
"""Sums of these steps are read for ranges up to a length; for longer ones, days."""


@dataclass(frozen=True, slots=True)
class NameTotal:
    """A task name: tasks that are stored, what they did in the range, and their runtimes in it by bucket. `is_partial`: the names have more
    queues and releases together than were read, so these tasks did at least that much."""

    name: str
    stored: int
    sums: Sums
    ran: dict[int, int]
    is_partial: bool


async def list_names(store: Store, scope: Place, part: str, since: int, until: int, page: int) -> tuple[list[NameTotal], bool]:
    """Returns a page (from 0) of the task names that contain `part`, those with the most stored tasks first, and whether there are more.
    Times are microseconds UTC. `scope.id` is not used."""
    ids = {"app_id": scope.app_id, "environment_id": scope.environment_id, "engine_id": scope.engine_id}
    params = ids | {"part": part.lower(), "limit": PAGE + 1, "offset": page * PAGE}
    rows = await store.fetch_all(SQL["count_names"], params)
    within = _range(since, until)
    most = max(MOST_READ // max(len(within.times), 1), PAGE)
    names = json.dumps([row[2] for row in rows[:PAGE]])
    known = await store.fetch_all(SQL["series_of_names"], ids | {"names": names, "limit": most + 1})
    series: dict[int, int] = dict(known[:most])
    is_partial = len(known) > most  # of which names the others are is not known
    sums = await rollups.by_series(store, series, within)
    histograms = await rollups.histograms_by_series(store, series, within, "ran")
    found = []
    for name, stored, name_id in rows[:PAGE]:
        own = [id for id, of in series.items() if of == name_id]
        whole = add_sums(sums[id] for id in own if id in sums)
        found.append(NameTotal(name, stored, whole or NO_SUMS, added(histograms[id].ran for id in own if id in histograms), is_partial))
    return found, len(rows) > PAGE


def _range(since: int, until: int) -> Range:
    """The range in steps; long ones in days, which is coarser at both ends."""
    step = next((step for step, longest in STEPS if until - since <= longest), 2)
    return Range(step, since // STEP_US[step] * STEP_US[step], until)
