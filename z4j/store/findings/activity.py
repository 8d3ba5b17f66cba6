# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads what the rules of findings look at: the last hour of every task name and queue, and earlier hours. Reads sums only, no task."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from z4j.rules.findings.activity import Counts, QueueMinute
from z4j.rules.findings.finding import Scope
from z4j.rules.rollups import HOUR, HOUR_US, MINUTE
from z4j.store.fleet import apps
from z4j.store.names import names
from z4j.store.rollups import downsampling
from z4j.store.rollups.series_history import counted_from
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Row, Store

SQL = sql.load("findings/activity")

Subject = tuple[Scope, str]
"""A task name or a queue, with its app, environment and engine."""


class Steps(NamedTuple):
    """What was counted of each subject by the beginning of each step (microseconds UTC): counts, and runtimes by bucket."""

    counts: dict[Subject, dict[int, Counts]]
    ran: dict[Subject, dict[int, dict[int, int]]]


class Texts:
    """Names by id, read as they are needed."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._texts: dict[int, str] = {0: ""}
        self._apps: dict[int, str] = {}

    async def load(self, rows: Iterable[Row], columns: int) -> None:
        """Reads the names in the first `columns` columns after the app."""
        missing = {id for row in rows for id in row[1 : 1 + columns]} - self._texts.keys()
        if missing:
            self._texts |= await names.read_texts(self.store, missing)
        self._apps = await apps.names_by_id(self.store)

    def subject(self, row: Row) -> Subject:
        """Returns the subject of (app, environment, engine, name or queue, …)."""
        app_id, environment_id, engine_id, id = row[:4]
        scope = Scope(self._apps.get(app_id, ""), self._texts.get(environment_id, ""), self._texts.get(engine_id, ""))
        return scope, self._texts.get(id, "")

    def text(self, id: int) -> str:
        """Returns a name that was loaded."""
        return self._texts.get(id, "")


async def read_minutes(store: Store, since: int, until: int) -> Steps:
    """Returns the minutes of a range by task name."""
    return await _read(store, MINUTE, since, until)


async def read_hour(store: Store, at: int) -> Steps:
    """Returns the hour that begins at a time by task name, by its minutes where they were not added to it yet."""
    is_rolled = await downsampling.rolled_until(store) >= at + HOUR_US
    return await _read(store, HOUR if is_rolled else MINUTE, at, at + HOUR_US)


async def _read(store: Store, step: int, since: int, until: int) -> Steps:
    params = {"step": step, "since": since, "until": until}
    counted = await store.fetch_all(SQL["name_minutes"], params)
    timed = await store.fetch_all(SQL["name_runtimes"], params)
    texts = Texts(store)
    await texts.load([*counted, *timed], 3)
    steps = Steps({}, {})
    for row in counted:
        steps.counts.setdefault(texts.subject(row), {})[row[4]] = Counts(*row[5:])
    for row in timed:
        if row[6] > 0:
            of_step = steps.ran.setdefault(texts.subject(row), {}).setdefault(row[4], {})
            of_step[row[5]] = of_step.get(row[5], 0) + row[6]
    return steps


async def first_hour(store: Store) -> int | None:
    """Returns the beginning of the first hour that was counted."""
    first = await counted_from(store, HOUR)
    return None if first is None else first // HOUR_US * HOUR_US


class QueueSteps(NamedTuple):
    """The minutes of each queue by their beginning, the tasks that entered it by name, and how many are enqueued and not received."""

    minutes: dict[Subject, dict[int, QueueMinute]]
    names: dict[Subject, dict[str, int]]
    queued: dict[Subject, int]


async def read_queues(store: Store, since: int, until: int) -> QueueSteps:
    """Returns the minutes of a range by queue."""
    params = {"since": since, "until": until}
    moved, named, reported, queued = [
        await store.fetch_all(SQL[block], params if block != "count_queued" else {})
        for block in ("queue_minutes", "queue_names", "queue_reports", "count_queued")
    ]
    texts = Texts(store)
    await texts.load([*moved, *reported, *queued], 3)
    await texts.load(named, 4)
    steps = QueueSteps({}, {}, {texts.subject(row): row[4] for row in queued})
    for row in moved:
        steps.minutes.setdefault(texts.subject(row), {})[row[4]] = QueueMinute(None, max(row[5], 0), max(row[6], 0), None)
    for row in reported:
        minutes = steps.minutes.setdefault(texts.subject(row), {})
        minutes[row[4]] = minutes.get(row[4], QueueMinute())._replace(depth=row[5], dead=row[6])
    for row in named:
        steps.names.setdefault(texts.subject(row), {})[texts.text(row[4])] = row[5]
    return steps
