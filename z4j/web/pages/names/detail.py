# SPDX-License-Identifier: AGPL-3.0-or-later
"""One task name: its rates, waits and runtimes over a range, what it ran in, its slowest tasks, and what makes it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from z4j import clock
from z4j.exceptions import NotFound
from z4j.rules.charts.model import HeatMap, Histogram, TimeChart
from z4j.rules.findings.activity import BAD
from z4j.rules.findings.finding import Scope, queue_href
from z4j.rules.history.ranges import HEAT, SPANS, choose
from z4j.rules.rollups import bounds
from z4j.store.fleet.agents import TaskNameRow, list_named
from z4j.store.fleet.releases import first_sights
from z4j.store.names import names
from z4j.store.operations import commands
from z4j.store.rollups import series_history
from z4j.store.rollups.rollups import Series, Sums
from z4j.store.rollups.series_history import History, Place
from z4j.store.samples.name_sample import NameSample, sample_of_name
from z4j.store.schedules.schedules import ScheduleRow, list_of_task
from z4j.store.sqlite.db import Store
from z4j.web.frame import export
from z4j.web.frame.render import Choice, Shell, render
from z4j.web.frame.shell import make_shell
from z4j.web.frame.status_bar import scope_of
from z4j.web.pages import chart_marks, history_charts
from z4j.web.pages.error_panel import ErrorPanel, panel_of
from z4j.web.pages.tasks import run
from z4j.web.pages.tasks.filters import Filters
from z4j.web.services import services

PARTS: Final = 12
"""Rows of a table of releases or queues."""
LISTED: Final = 200
"""Apps, engines and environments that registered the name, before the filters of every page."""
ACTIONS: Final = 12


@dataclass(frozen=True, slots=True)
class Part:
    """What one release or queue has of the tasks. `rows_href` leads to them, `href` to the queue. `first_at` is the first sight of a
    release, in microseconds UTC."""

    name: str
    href: str
    rows_href: str
    sums: Sums
    bad: int
    bad_href: str
    first_at: int | None = None


@dataclass(frozen=True, slots=True)
class Registered:
    """A signature of the task as workers reported it, and the URL of its form."""

    row: TaskNameRow
    run_href: str


@dataclass(frozen=True, slots=True)
class Total:
    """A number over the range, linked to its tasks."""

    label: str
    value: int
    href: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class NamePage:
    """The context of names/detail.html."""

    shell: Shell
    name: str
    here: str
    json_href: str
    tasks_href: str
    errors: ErrorPanel
    spans: tuple[Choice, ...]
    totals: tuple[Total, ...]
    waits: tuple[tuple[str, int | None], ...]
    runtimes: tuple[tuple[str, int | None], ...]
    charts: tuple[TimeChart, ...]
    histograms: tuple[Histogram, ...]
    heat: HeatMap
    releases: tuple[Part, ...]
    queues: tuple[Part, ...]
    sample: NameSample
    worker_hrefs: tuple[tuple[str, int, str], ...]
    schedules: tuple[ScheduleRow, ...]
    registered: tuple[Registered, ...]
    left_out: int
    share: float
    may_run: bool


def href_of(name: str, scope: Filters | None = None, **more: str) -> str:
    """Returns the URL of a task name under the filters of every page."""
    query = urlencode([*(scope.scope().pairs() if scope else ()), *more.items()])
    return f"/names/{quote(name, safe='')}{'?' if query else ''}{query}"


async def find_name(request: Request, name: str) -> Place:
    """Returns the ids of a task name and the filters of a URL. Raises NotFound."""
    scope = scope_of(request)
    place = await series_history.find_place(services(request).store, "name", name, scope.app, scope.environment, scope.engine)
    if place is None or not name:
        raise NotFound(f"Unknown task name “{name[:80]}”.", "Tasks of this name may have been deleted, or the filters exclude it.")
    return place


async def detail_page(request: Request) -> Response:
    """GET /names/{name}."""
    name, scope, key = request.path_params["name"], scope_of(request), choose(request.query_params.get("range"))
    store, place = services(request).store, await find_name(request, name)
    shell = await make_shell(request, "tasks")
    history = await series_history.read_history(store, place, key, shell.now)
    found, rows = history.window, scope.but(name=name)
    within = history_charts.between(rows, found.since, found.until)
    lines = history_charts.in_order(
        [
            *await chart_marks.release_marks(store, found.since, found.until, app=scope.app, environment=scope.environment),
            *chart_marks.action_marks(chart_marks.of_many(await commands.list_commands(store, limit=ACTIONS)), found.since, found.until),
        ]
    )
    runtimes = await series_history.read_runtimes(store, place, shell.now, history if SPANS[key] is HEAT else None)
    whole = history.whole
    sample = await sample_of_name(store, place, found.since)
    page = NamePage(
        shell=shell, name=name, here=href_of(name, scope, range=key),
        json_href="/history/name.json?" + urlencode([*scope.pairs(), ("name", name), ("range", key)]),
        tasks_href=rows.href(), errors=await panel_of(store, rows, shell.now),
        spans=history_charts.span_choices(lambda each: href_of(name, scope, range=each), key),
        totals=(
            Total("sent", max(whole.enqueued, 0), within.href()), Total("started", whole.started, within.href()),
            Total("ended", whole.ended, within.href()), Total("retried", whole.retried, within.href()),
            Total("failed", history_charts.ended_badly(whole), within.but(state=BAD).href(), "failed"),
        ),
        waits=history_charts.shares_of(history.waited), runtimes=history_charts.shares_of(history.ran),
        charts=(
            history_charts.rates(history, rows, "Started, ended, failed and retried per minute", history_charts.COLUMNS_OF_NAME, lines),
            history_charts.percentiles(history, "ran", rows, lines), history_charts.percentiles(history, "waited", rows, lines),
        ),
        histograms=(history_charts.distribution(history, "ran", rows), history_charts.distribution(history, "waited", rows)),
        heat=history_charts.heat(*runtimes, rows),
        releases=await _releases(store, history, rows, scope), queues=await _queues(store, history, within, scope), sample=sample,
        worker_hrefs=tuple((worker, tasks, within.but(worker=worker).href()) for worker, tasks in sample.workers),
        schedules=tuple(await _schedules(store, name, scope)), registered=tuple(await _registered(store, name, scope)),
        left_out=history.left_out, share=history.share, may_run=shell.role in ("operator", "admin"),
    )  # fmt: skip
    return render(request, "names/detail.html", page)


async def detail_json(request: Request) -> Response:
    """GET /history/name.json and GET /api/v1/names/history."""
    return export.to_json(await plain_name(request))


async def plain_name(request: Request) -> dict[str, Any]:
    """Returns the history of the task name in `name` of the URL, as JSON data. Raises NotFound."""
    name, key = request.query_params.get("name", ""), choose(request.query_params.get("range"))
    store, place = services(request).store, await find_name(request, name)
    history = await series_history.read_history(store, place, key, clock.now())
    scope = scope_of(request)
    rows = scope.but(name=name)
    parts = {
        "releases": await _releases(store, history, rows, scope),
        "queues": await _queues(store, history, rows, scope),
    }
    return (
        {"name": name, "app": scope.app, "environment": scope.environment, "engine": scope.engine}
        | history_charts.plain_history(history, key)
        | {of: [{"name": part.name, "first_at": part.first_at} | part.sums._asdict() for part in each] for of, each in parts.items()}
        | {"ran_buckets": _plain_buckets(history.ran), "waited_buckets": _plain_buckets(history.waited)}
        | {"slowest": [asdict(task) for task in (await sample_of_name(store, place, history.window.since)).slowest]}
    )


def _plain_buckets(buckets: dict[int, int]) -> list[dict[str, int]]:
    return [
        {"from_us": round(bounds(bucket)[0]), "to_us": round(bounds(bucket)[1]), "tasks": tasks}
        for bucket, tasks in sorted(buckets.items())
    ]


async def _releases(store: Store, history: History, rows: Filters, scope: Filters) -> tuple[Part, ...]:
    """The releases that ran it; a task has no release before it starts."""
    by_release = _by(history, lambda series: series.release_id)
    by_release.pop(0, None)
    texts = await names.read_texts(store, by_release)
    sights = await first_sights(store, by_release, app=scope.app)
    within = history_charts.between(rows, history.window.since, history.window.until)

    def part(id: int, sums: Sums) -> Part:
        name = texts.get(id, "")
        of_release = f'release:"{name}"'
        bad = within.but(state=BAD).href("/tasks", q=of_release)
        rows_href = within.href("/tasks", q=of_release)
        return Part(name, rows_href, rows_href, sums, history_charts.ended_badly(sums), bad, sights.get(name))

    made = [part(id, sums) for id, sums in by_release.items()]
    return tuple(sorted(made, key=lambda each: (-(each.first_at or 0), each.name))[:PARTS])


async def _queues(store: Store, history: History, within: Filters, scope: Filters) -> tuple[Part, ...]:
    by_queue = _by(history, lambda series: series.queue_id)
    texts = await names.read_texts(store, by_queue)
    place = Scope(scope.app, scope.environment, scope.engine)
    made = []
    for id, sums in sorted(by_queue.items(), key=lambda item: -item[1].ended - item[1].enqueued)[:PARTS]:
        queue, bad = texts.get(id, ""), history_charts.ended_badly(sums)
        rows = within.but(queue=queue)
        page, rows_href = (queue_href(place, queue), rows.href()) if queue else ("", "")
        made.append(Part(queue, page, rows_href, sums, bad, rows.but(state=BAD).href()))
    return tuple(made)


def _by(history: History, key: Callable[[Series], int]) -> dict[int, Sums]:
    found: dict[int, list[Sums]] = defaultdict(list)
    for series, sums in history.by_series.items():
        found[key(series)].append(sums)
    return {id: series_history.add_sums(sums) for id, sums in found.items()}


async def _schedules(store: Store, name: str, scope: Filters) -> list[ScheduleRow]:
    return [row for row in await list_of_task(store, name) if _is_under(scope, row)][:PARTS]


async def _registered(store: Store, name: str, scope: Filters) -> list[Registered]:
    known = [row for row in await list_named(store, name, LISTED) if _is_under(scope, row)]
    return [Registered(row, run.href_of(row)) for row in known[:PARTS]]


def _is_under(scope: Filters, row: ScheduleRow | TaskNameRow) -> bool:
    wanted = ((scope.app, row.app), (scope.environment, row.environment), (scope.engine, row.engine))
    return all(mine in ("", theirs) for mine, theirs in wanted)
