# SPDX-License-Identifier: AGPL-3.0-or-later
"""Evaluates every schedule and the processes of its scheduler."""

from __future__ import annotations

from typing import Final

from z4j.rules.findings import schedules as rules
from z4j.rules.findings.finding import Finding, Scope
from z4j.rules.findings.schedules import SchedulerState, ScheduleState
from z4j.rules.schedules.dialects import DIALECTS
from z4j.store.schedules import fires, schedules
from z4j.store.schedules.fires import LastFire
from z4j.store.schedules.scheduler_processes import SchedulerProcesses, facts_of, scheduler_processes
from z4j.store.schedules.schedules import OWN, ScheduleRow, SchedulerRow
from z4j.store.sqlite.db import Store

WORDS: Final = {name: dialect.word for name, dialect in DIALECTS.items()}
EACH: Final = 4
"""Runs of each schedule that are read: two processes that run it create two runs for one due time."""


async def find(store: Store, at: int) -> list[Finding]:
    """Returns the findings of schedules. Raises StoreError."""
    rows = await schedules.list_schedules(store)
    if not rows:
        return []
    processes, latest = await scheduler_processes(store), await fires.list_latest(store, EACH)
    states = [_schedule(row, processes, latest.get(row.id, []), at) for row in rows]
    return rules.find(states, [_scheduler(key, processes, rows) for key in dict.fromkeys(_key(row) for row in rows)], at)


def _key(row: ScheduleRow) -> tuple[int, str, str]:
    return row.app_id, row.environment, row.scheduler


def _schedule(row: ScheduleRow, processes: SchedulerProcesses, latest: list[LastFire], at: int) -> ScheduleState:
    grace, newest = processes.grace(row), latest[0] if latest else None
    lateness = None if newest is None else facts_of(newest, grace).lateness
    return ScheduleState(
        id=row.id, scope=Scope(row.app, row.environment, row.engine), scheduler=row.scheduler, name=row.name,
        state=processes.health(row, latest, at).state, next_at=row.next_at, due_at=newest.due_at if newest else None, lateness=lateness,
        doubled_at=max((fire.due_at for fire in latest if fire.is_double), default=None), error=newest.error if newest else "",
        is_enabled=row.is_enabled,
    )  # fmt: skip


def _scheduler(key: tuple[int, str, str], processes: SchedulerProcesses, rows: list[ScheduleRow]) -> SchedulerState:
    row = next(row for row in rows if _key(row) == key)
    firing = [process for process in processes.of(row) if process.is_firing]
    connected = tuple(_text(process) for process in firing if process.left_at is None)
    last = max(firing, key=lambda process: process.left_at or 0, default=None)
    return SchedulerState(
        scope=Scope(row.app, row.environment), scheduler=row.scheduler, word=WORDS.get(row.scheduler, row.scheduler),
        connected=connected, silent_since=None if connected or row.scheduler == OWN or last is None else last.left_at,
        last=_text(last) if last else "",
    )  # fmt: skip


def _text(process: SchedulerRow) -> str:
    return f"{process.worker or process.boot[:8]} on {process.host}" if process.host else process.worker or process.boot[:8]
