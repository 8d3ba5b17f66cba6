# SPDX-License-Identifier: AGPL-3.0-or-later
"""Computes the strip of numbers on every page, from counters and from the tasks that ended per minute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from z4j import clock
from z4j.rules.tasks.states import STATES
from z4j.store.fleet import agents
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Store
from z4j.store.tasks import task_search
from z4j.store.tasks.task_changes import MINUTE_US
from z4j.store.tasks.task_search import TaskFilter

SQL = sql.load("tasks/minute_stats")

DAY: Final = 24 * 60
USUAL_US: Final = 60_000_000
"""How long the usual number of failures, a sum over a day, is remembered."""
SILENT_US: Final = 24 * 3_600_000_000
MEMO_LIMIT: Final = 256


@dataclass(frozen=True, slots=True)
class StripNumbers:
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


async def strip_numbers(store: Store, f: TaskFilter) -> StripNumbers:
    """Returns the numbers of the strip under the filters of every page (app, environment, engine)."""
    now = clock.now()
    silent = await agents.count_silent(store, since=now - SILENT_US)
    # The strip shows every queue, name and state, whatever the list is narrowed to.
    params = await task_search.resolve(store, TaskFilter(engine=f.engine, app=f.app, environment=f.environment))
    if params is None:
        return StripNumbers(silent_agents=silent)
    minute = now // MINUTE_US
    rows = await store.fetch_all(SQL["sum_minutes"], {**params, "since": minute - 60, "until": minute + 11})
    ended = {row[0]: row[1] for row in rows}
    share = now % MINUTE_US / MINUTE_US
    live = await store.fetch_one(SQL["count_live"], params) or (0, 0, 0)
    oldest_at, oldest_queue = await _oldest_waiting(store, params) if live[1] else (None, "")
    return StripNumbers(
        # The minute that has begun, and of the one before what still lies within sixty seconds.
        finished_per_min=round(ended.get(minute, 0) + ended.get(minute - 1, 0) * (1 - share), 1),
        finished_before=sum(ended.get(minute - back, 0) for back in range(2, 7)) / 5,
        failed_hour=sum(row[2] for row in rows),
        failed_usual=await _failed_usual(store, params, minute),
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


async def _failed_usual(store: Store, params: task_search.Params, minute: int) -> float | None:
    """Failures per hour over the day before this hour: 1,440 rows of each scope, so it is remembered for a minute."""
    key = ("failed usual", *sorted(params.items(), key=str))
    until, known = store.memo.get(key, (0, None))
    if clock.ticks() < until:
        return known  # type: ignore[no-any-return]
    first: Any = (await store.fetch_one(SQL["first_minute"]) or (None,))[0]
    usual = None
    if first is not None and minute - first > 120:
        since = max(first, minute - 60 - DAY)
        rows = await store.fetch_all(SQL["sum_minutes"], {**params, "since": since, "until": minute - 60})
        usual = sum(row[2] for row in rows) / ((minute - 60 - since) / 60)
    if len(store.memo) >= MEMO_LIMIT:
        store.memo.clear()
    store.memo[key] = (clock.ticks() + USUAL_US, usual)
    return usual
