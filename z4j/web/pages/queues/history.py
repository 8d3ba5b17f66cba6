# SPDX-License-Identifier: AGPL-3.0-or-later
"""The history of one queue: depth, tasks in and out, its sources, and the forecast of the time to drain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request

from z4j import clock
from z4j.rules.charts.model import TimeChart
from z4j.rules.findings.backlog import forecast_of
from z4j.rules.findings.forecast import text_of
from z4j.rules.history.callers import Caller, Part, compare
from z4j.rules.history.ranges import SPANS, Window, choose, window
from z4j.rules.rollups import HOUR_US
from z4j.store.fleet.queues import QueueRow
from z4j.store.names import names
from z4j.store.operations.commands import CommandRow
from z4j.store.rollups import rollups, series_history
from z4j.store.rollups.rollups import QueueReport, Range
from z4j.store.rollups.series_history import Place
from z4j.store.samples import queue_sample
from z4j.store.sqlite.db import Store
from z4j.web.frame.render import Choice
from z4j.web.pages import chart_marks, history_charts
from z4j.web.pages.error_panel import ErrorPanel, panel_of
from z4j.web.pages.names.detail import href_of as name_href
from z4j.web.pages.queues.ledger import activity_of, plain_ledger
from z4j.web.pages.queues.list import href_of
from z4j.web.pages.tasks.filters import Filters
from z4j.web.services import services

MOST: Final = 10
"""Rows of a table of the sources of the queue."""
MORE_WORKERS: Final = 2


@dataclass(frozen=True, slots=True)
class FilledBy:
    """One source of the queue. `href` is the URL of its tasks, `page_href` of its own page; "" if there is none."""

    word: str
    kind: str
    part: Part
    href: str
    page_href: str = ""


@dataclass(frozen=True, slots=True)
class QueueHistory:
    """The part of queues/detail.html about the past."""

    spans: tuple[Choice, ...]
    json_href: str
    forecast: str
    charts: tuple[TimeChart, ...]
    names: tuple[FilledBy, ...]
    callers: tuple[FilledBy, ...]
    callers_read: int
    has_last_week: bool
    callers_before: int
    left_out: int
    share: float
    errors: ErrorPanel


async def history_of(request: Request, row: QueueRow, commands: list[CommandRow], now: int) -> QueueHistory | None:
    """Returns the history of a queue; None of one that neither a task nor a broker has reported."""
    store, key = services(request).store, choose(request.query_params.get("range"))
    place = await series_history.find_place(store, "queue", row.name, row.app, row.environment, row.engine)
    if place is None:
        return None
    history = await series_history.read_history(store, place, key, now, "waited")
    found, rows = history.window, Filters(queue=row.name, engine=row.engine, app=row.app, environment=row.environment)
    reported = window(SPANS[key], now)
    reports = await _reports(store, place, row, reported)
    lines = history_charts.in_order(
        [
            *await chart_marks.release_marks(store, found.since, found.until, app=row.app, environment=row.environment),
            *chart_marks.action_marks(chart_marks.of_many(commands), found.since, found.until),
        ]
    )
    callers, earlier = await _callers(store, place, now)
    entered, entered_before = await queue_sample.entered_by_name(store, place, now)
    return QueueHistory(
        spans=history_charts.span_choices(lambda each: href_of(row, range=each), key),
        json_href="/history/queue.json?" + urlencode(
            {"queue": row.name, "app": row.app, "environment": row.environment, "engine": row.engine, "range": key}
        ),
        forecast=_forecast(request, row),
        charts=(
            history_charts.depths(reported, reports, rows, lines),
            history_charts.oldest(reported, reports, rows, lines),
            history_charts.rates(history, rows, "In, out and failed per minute", history_charts.COLUMNS_OF_QUEUE, lines),
            history_charts.percentiles(history, "waited", rows, lines),
        ),
        names=_names(entered, entered_before, rows), callers=_by_caller(callers, earlier, rows), callers_read=callers.read,
        has_last_week=entered_before is not None, callers_before=earlier.read, left_out=history.left_out, share=history.share,
        errors=await panel_of(store, rows, now),
    )  # fmt: skip


async def _reports(store: Store, place: Place, row: QueueRow, found: Window) -> dict[int, QueueReport]:
    """What was reported of it; in several brokers, of the one that is shown."""
    ids, within = await names.find(store, {"broker": row.needed_broker}), Range(found.step, found.since, found.until)
    broker_id = ids.get("broker", 0) if row.needed_broker else None
    return await rollups.of_queue(store, place.app_id, place.environment_id, place.engine_id, place.id, within, broker_id, found.slot_us)


async def _callers(store: Store, place: Place, now: int) -> tuple[queue_sample.Callers, queue_sample.Callers]:
    """Who sent the newest tasks, and those of this hour a week ago."""
    week = now - queue_sample.WEEK_US
    return (
        await queue_sample.callers_before(store, place, now + 1, 0),
        await queue_sample.callers_before(store, place, week + HOUR_US // 2, week - HOUR_US // 2),
    )


def _forecast(request: Request, row: QueueRow) -> str:
    """When the queue is empty if the next minutes are like the last ones; "" while nothing waits or too little is known."""
    queue = activity_of(request, row)
    if queue is None or queue.is_paused or not queue.backlog:
        return ""
    forecast = forecast_of(queue)
    if forecast is None:
        return ""
    text = f"Drains {_in(text_of(forecast))}"
    if not row.consumers:
        return text
    more = forecast_of(queue, more=(row.consumers + MORE_WORKERS) / row.consumers)
    return f"{text}; with {MORE_WORKERS} more workers {_in(text_of(more))}" if more is not None and more != forecast else text


def _in(text: str) -> str:
    return text if text.startswith("never") else f"in {text}"


def _names(now: dict[str, int], before: dict[str, int] | None, rows: Filters) -> tuple[FilledBy, ...]:
    return tuple(
        FilledBy(name, "", part, rows.but(name=name, since="1h").href(), name_href(name, rows) if name else "")
        for name, part in compare(now, before, MOST).items()
    )


def _by_caller(now: queue_sample.Callers, before: queue_sample.Callers, rows: Filters) -> tuple[FilledBy, ...]:
    """Shares in percent: the two samples are of different lengths."""
    shares = {caller: 100 * tasks / now.read for caller, tasks in now.tasks.items()}
    earlier = {caller: 100 * tasks / before.read for caller, tasks in before.tasks.items()} if before.read else None
    return tuple(_caller(caller, part, rows) for caller, part in compare(shares, earlier, MOST).items())


def _caller(caller: Caller, part: Part, rows: Filters) -> FilledBy:
    if caller.kind == "schedule":
        return FilledBy(caller.text, "schedule", part, f"/schedules/{caller.key}")
    if caller.kind == "parent":
        return FilledBy(caller.text, "task", part, name_href(caller.text, rows), name_href(caller.text, rows))
    if not caller.kind:
        return FilledBy("not reported", "", part, "")
    field = "route" if caller.kind == "route" else "caller"
    return FilledBy(caller.text, caller.kind, part, rows.href("/tasks", q=f'{field}:"{_escaped(caller.text)}"'))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


async def plain_queue(request: Request, row: QueueRow) -> dict[str, Any]:
    """Returns the history of a queue as JSON data: sums by slot, reports of its broker, and its sources."""
    store, key, now = services(request).store, choose(request.query_params.get("range")), clock.now()
    place = await series_history.find_place(store, "queue", row.name, row.app, row.environment, row.engine)
    head: dict[str, Any] = {"queue": row.name, "app": row.app, "environment": row.environment, "engine": row.engine}
    if place is None:
        return head | {"slots": [], "reports": []}
    history = await series_history.read_history(store, place, key, now)
    reported = window(SPANS[key], now)
    reports = await _reports(store, place, row, reported)
    callers, earlier = await _callers(store, place, now)
    entered, before = await queue_sample.entered_by_name(store, place, now)
    return (
        head
        | history_charts.plain_history(history, key)
        | {"reports": [{"at": at} | report._asdict() for at, report in sorted(reports.items())]}
        | {"forecast": _forecast(request, row)}
        | {"entered_last_hour": entered, "entered_same_hour_last_week": before}
        | await plain_ledger(request, row, now)
        | {"callers": _plain_callers(callers), "callers_same_hour_last_week": _plain_callers(earlier)}
    )


def _plain_callers(callers: queue_sample.Callers) -> dict[str, Any]:
    tasks = sorted(callers.tasks.items(), key=lambda item: -item[1])
    return {"read": callers.read, "tasks": [{"kind": caller.kind, "text": caller.text, "tasks": count} for caller, count in tasks]}
