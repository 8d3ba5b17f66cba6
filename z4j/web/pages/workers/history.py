# SPDX-License-Identifier: AGPL-3.0-or-later
"""The history of one worker: tasks that ended, how busy it was, and when it was started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request

from z4j import clock
from z4j.rules.charts.model import TimeChart
from z4j.rules.history.ranges import SPANS, Window, choose, window
from z4j.store.fleet.releases import WorkerStart, list_starts
from z4j.store.fleet.workers import WorkerRow
from z4j.store.names import names
from z4j.store.operations.commands import CommandRow
from z4j.store.rollups import rollups
from z4j.store.rollups.rollups import Range, WorkerSums
from z4j.store.sqlite.db import Store
from z4j.web.frame.render import Choice
from z4j.web.pages import chart_marks, history_charts
from z4j.web.pages.tasks.filters import Filters
from z4j.web.services import services


@dataclass(frozen=True, slots=True)
class WorkerHistory:
    """The part of workers/detail.html about the past."""

    spans: tuple[Choice, ...]
    json_href: str
    charts: tuple[TimeChart, ...]
    starts: int
    """How often it was started in the range, at most `releases.MOST`."""


async def history_of(request: Request, row: WorkerRow, commands: list[CommandRow], now: int) -> WorkerHistory:
    """Returns the history of a worker."""
    key = choose(request.query_params.get("range"))
    found, sums, starts = await _read(services(request).store, row, key, now)
    lines = history_charts.in_order([*chart_marks.start_marks(starts), *chart_marks.action_marks(commands, found.since, found.until)])
    rows = Filters(worker=row.name, app=row.app, environment=row.environment)

    def href(key: str) -> str:
        query = urlencode({"app": row.app, "environment": row.environment, "range": key})
        return f"/workers/{quote(row.name, safe='')}?{query}"

    return WorkerHistory(
        history_charts.span_choices(href, key),
        "/history/worker.json?" + urlencode({"worker": row.name, "app": row.app, "environment": row.environment, "range": key}),
        history_charts.worker_charts(found, sums, rows, row.agent.concurrency, lines), len(starts),
    )  # fmt: skip


async def _read(store: Store, row: WorkerRow, key: str, now: int) -> tuple[Window, dict[int, WorkerSums], list[WorkerStart]]:
    """The sums of a worker are by its name: those of its environments are added."""
    found = window(SPANS[key], now)
    worker_id = (await names.find(store, {"worker": row.name})).get("worker", 0)
    within = Range(found.step, found.since, found.until)
    sums = await rollups.of_worker(store, row.agent.app_id, worker_id, within, found.slot_us)
    starts = await list_starts(store, row.agent.app_id, row.environment, worker_id, found.since, found.until)
    return found, sums, starts


async def plain_worker(request: Request, row: WorkerRow) -> dict[str, Any]:
    """Returns the history of a worker as JSON data."""
    key = choose(request.query_params.get("range"))
    found, sums, starts = await _read(services(request).store, row, key, clock.now())
    nothing = WorkerSums(0, 0, 0)
    return (
        {"worker": row.name, "app": row.app, "environment": row.environment, "concurrency": row.agent.concurrency}
        | history_charts.plain_window(found, key)
        | {"slots": [{"at": slot} | sums.get(slot, nothing)._asdict() for slot in found.slots]}
        | {"starts": [{"at": start.at, "pid": start.pid, "release": start.release} for start in starts]}
    )
