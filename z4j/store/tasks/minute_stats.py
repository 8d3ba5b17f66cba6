# SPDX-License-Identifier: AGPL-3.0-or-later
"""Computes the numbers of the status bar on every page, from counters and from the tasks that ended per minute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from z4j import clock
from z4j.rules.rollups import DAY_US, HOUR, HOUR_US, MINUTE, MINUTE_US, STEP_US
from z4j.rules.tasks.states import STATES
from z4j.store.fleet import agents
from z4j.store.rollups import rollups
from z4j.store.rollups.rollups import Range
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Store
from z4j.store.tasks import task_search
from z4j.store.tasks.task_search import TaskFilter

SQL = sql.load("tasks/minute_stats")

SILENT_US: Final = 24 * 3_600_000_000


@dataclass(frozen=True, slots=True)
class StatusNumbers:
    """What happens now. Rates are per minute; `failed_usual` is per hour, None before there is a past to compare with."""

    finished_per_min: float = 0
    finished_before: float = 0
    """The rate of the five minutes before."""
    failed_hour: int = 0
    failed_usual: float | None = None
    running: int = 0
    waiting: int = 0
    retrying: int = 0
    oldest_waiting_at: int | None = None
    oldest_waiting_queue: str = ""
    silent_agents: int = 0


async def status_numbers(store: Store, f: TaskFilter) -> StatusNumbers:
    """Returns the numbers of the status bar under the filters of every page (app, environment, engine)."""
    now = clock.now()
    silent = await agents.count_silent(store, since=now - SILENT_US)
    # The status bar shows every queue, name and state, whatever the list is narrowed to.
    params = await task_search.resolve(store, TaskFilter(engine=f.engine, app=f.app, environment=f.environment))
    if params is None:
        return StatusNumbers(silent_agents=silent)
    minute = now // MINUTE_US
    totals = await rollups.list_totals(store, params)
    sums = await rollups.by_time(store, totals, Range(MINUTE, (minute - 60) * MINUTE_US, (minute + 11) * MINUTE_US))
    ended = {at // MINUTE_US: of_minute.ended for at, of_minute in sums.items()}
    share = now % MINUTE_US / MINUTE_US
    live = await store.fetch_one(SQL["count_live"], params) or (0, 0, 0)
    oldest_at, oldest_queue = await _oldest_waiting(store, params) if live[1] else (None, "")
    return StatusNumbers(
        # The minute that has begun, and of the one before what still lies within sixty seconds.
        finished_per_min=round(ended.get(minute, 0) + ended.get(minute - 1, 0) * (1 - share), 1),
        finished_before=sum(ended.get(minute - back, 0) for back in range(2, 7)) / 5,
        failed_hour=sum(of_minute.failed for of_minute in sums.values()),
        failed_usual=await _failed_usual(store, totals, minute),
        running=live[0],
        waiting=live[1],
        retrying=live[2],
        oldest_waiting_at=oldest_at,
        oldest_waiting_queue=oldest_queue,
        silent_agents=silent,
    )


async def _oldest_waiting(store: Store, params: task_search.Params) -> tuple[int | None, str]:
    waiting = []
    for state in ("queued", "received"):
        row = await store.fetch_one(SQL["oldest_waiting"], {**params, "state": STATES[state]})
        if row is not None:
            waiting.append((row[0], row[1] or ""))
    return min(waiting) if waiting else (None, "")


async def _failed_usual(store: Store, totals: list[int], minute: int) -> float | None:
    """Failures per hour over the day before this hour."""
    first = await rollups.first_at(store, MINUTE)
    if first is None or minute - first // MINUTE_US <= 120:
        return None
    until = (minute - 60) * MINUTE_US
    since = max(first, until - DAY_US)
    within = Range(HOUR, since, until) if until - since >= DAY_US else Range(MINUTE, since, until)
    sums = await rollups.by_time(store, totals, within)
    return sum(of_step.failed for of_step in sums.values()) / (len(within.times) * STEP_US[within.step] / HOUR_US)
