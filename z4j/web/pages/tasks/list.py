# SPDX-License-Identifier: AGPL-3.0-or-later
"""Tasks: the list with its filters and live refresh, and its exports. One task: see detail.py."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from z4j import clock
from z4j.exceptions import BadInput
from z4j.formats import duration, middle, number, relative
from z4j.rules.permissions import is_allowed, may_act
from z4j.rules.tasks.states import FINAL, STATES
from z4j.store.fleet import apps
from z4j.store.sqlite.db import Store
from z4j.store.tasks import task_search
from z4j.store.tasks.counters import Counts, Facet, count_tasks
from z4j.store.tasks.tasks import TaskFilter, TaskPage, TaskRow, list_tasks
from z4j.web.frame import export
from z4j.web.frame.render import Choice, ChoiceGroup, Shell, is_refresh, render, respond, to_html
from z4j.web.frame.shell import make_shell
from z4j.web.pages.tasks.filters import Filters, from_query, from_text
from z4j.web.services import services

PAGE: Final = 50
NEWS_LIMIT: Final = 200
JSON_LIMIT: Final = 500
CSV_LIMIT: Final = 100_000
FACET: Final = 8
SAYS: Final = 300
SPANS: Final = (("15m", "last 15 minutes"), ("1h", "last hour"), ("24h", "last 24 hours"), ("7d", "last 7 days"))
BAD: Final = frozenset({"failed", "lost", "rejected", "expired"})
COLUMNS: Final = tuple(field.name for field in fields(TaskRow) if field.name != "flags")


@dataclass(frozen=True, slots=True)
class Line:
    """A task as one row of a list. `says` is its result, its error, or its due time."""

    id: int
    state: str
    reason: str
    name: str
    label: str
    label_href: str
    task_id: str
    engine: str
    queue: str
    queue_href: str
    worker: str
    attempt: int
    args: str
    says: str
    is_bad: bool
    is_open: bool
    cancel_asked_at: int | None
    waited_us: int | None
    runtime_us: int | None
    last_at: int
    action: str
    """The likeliest action, retry or cancel; empty when no connected agent can do it."""
    back: str
    """The list to return to."""


@dataclass(frozen=True, slots=True)
class Region:
    """The part of the list that is refreshed live: facets, rows, pager. An href is empty where that page does not exist."""

    now: int
    lines: tuple[Line, ...]
    facets: tuple[ChoiceGroup, ...]
    summary: str
    live_href: str
    news: int
    """Tasks that arrived since the page was opened; NEWS_LIMIT means that many or more."""
    news_href: str
    newer_href: str
    older_href: str
    searched_to: int | None
    is_filtered: bool
    clear_href: str
    is_new: bool
    """No task was ever reported."""
    has_app: bool


@dataclass(frozen=True, slots=True)
class TasksPage:
    """The context of tasks/list.html."""

    shell: Shell
    query: str
    region: Region
    json_href: str
    csv_href: str
    may_plan: bool
    pairs: tuple[tuple[str, str], ...]
    """The filters as hidden fields of a form."""


@dataclass(frozen=True, slots=True)
class TasksRegion:
    """The context of tasks/_region.html."""

    region: Region


async def list_page(request: Request) -> Response:
    """GET /tasks: a page of the list, or its region for htmx. `q` is typed text; it becomes filters in the URL."""
    query = request.query_params
    if "q" in query:
        return RedirectResponse(from_text(query["q"]).href(), 303)
    filters = filters_of(request)
    region = await make_region(services(request).store, filters, query.get("older"), query.get("newer"), query.get("top"), able(request))
    if is_refresh(request):
        return respond(request, to_html("tasks/_region.html", TasksRegion(region)))
    shell = await make_shell(request, "tasks", filters)
    may_plan = is_allowed(request.scope["identity"].role, "operator")
    page = TasksPage(
        shell, filters.text(), region, filters.href("/tasks.json"), filters.href("/tasks.csv"), may_plan, tuple(filters.pairs())
    )
    return render(request, "tasks/list.html", page)


def filters_of(request: Request) -> Filters:
    """Returns the filters in the URL of a request. Raises BadInput."""
    return from_query(request.query_params, request.query_params.getlist("state"))


async def make_region(
    store: Store, filters: Filters, older: str | None, newer: str | None, top: str | None, can: frozenset[tuple[str, str]]
) -> Region:
    """Returns the rows beyond a cursor. `top` is the newest row of an open page: it remains on top, and newer rows are counted."""
    now = clock.now()
    wanted = filters.for_store(now)
    news = 0
    if top and not older and not newer:
        at, id = task_search.position(top)
        page = await list_tasks(store, wanted, older=task_search.cursor((at, id + 1)), limit=PAGE)
        news = len((await list_tasks(store, wanted, newer=top, limit=NEWS_LIMIT)).rows)
    else:
        page = await list_tasks(store, wanted, older=older, newer=newer, limit=PAGE)
    counts = await count_tasks(store, wanted)
    is_first = not older and not newer
    if is_first and page.rows:
        first = page.rows[0]
        top = top or task_search.cursor((first.first_at, first.id))
    is_new = not page.rows and filters.is_any and is_first
    return Region(
        now=now,
        lines=tuple(line(row, filters, now, can) for row in page.rows),
        facets=facets(filters, counts),
        summary=summary(filters, counts),
        live_href=filters.href(older=older, newer=newer, top=top if is_first and page.rows else None),
        news=news,
        news_href=filters.href(),
        newer_href=filters.href(newer=page.newer) if page.newer and not is_first else "",
        older_href=filters.href(older=page.older) if page.older else "",
        searched_to=page.searched_to,
        is_filtered=not filters.is_any,
        clear_href="/tasks",
        is_new=is_new,
        has_app=bool(await apps.list_apps(store)) if is_new else True,
    )


def line(row: TaskRow, filters: Filters, now: int, can: frozenset[tuple[str, str]]) -> Line:
    """Returns a row of the store as a row of the page."""
    return Line(
        id=row.id, state=row.state, reason=row.reason, name=row.name, label=row.label,
        label_href=filters.but(label=row.label).href(), task_id=row.task_id, engine=row.engine, queue=row.queue,
        queue_href=filters.but(queue=row.queue).href(), worker=row.worker, attempt=row.attempt, args=row.args[:SAYS],
        says=says(row, now), is_bad=row.state in BAD, is_open=row.state not in FINAL, cancel_asked_at=row.cancel_asked_at,
        waited_us=row.waited_us, runtime_us=row.runtime_us, last_at=row.last_at, action=_likeliest(row, can), back=filters.href(),
    )  # fmt: skip


def _likeliest(row: TaskRow, can: frozenset[tuple[str, str]]) -> str:
    action = "retry" if row.state in BAD else "cancel" if row.state in ("queued", "scheduled", "retrying") else ""
    return action if (row.engine, f"{action}_task") in can else ""


def able(request: Request) -> frozenset[tuple[str, str]]:
    """Returns (engine, action) of the actions that this person may request and some connected agent can do."""
    role = request.scope["identity"].role
    return frozenset(capability for link in services(request).hub.all() for capability in link.capabilities if may_act(role, capability[1]))


def says(row: TaskRow, now: int) -> str:
    """Returns the text after the arrow of the second line: the outcome, or the due time."""
    error = f"{row.error_type}: {row.error}" if row.error_type and row.error else row.error_type or row.error
    error = error.partition("\n")[0]
    if row.state == "succeeded":
        return row.result[:SAYS]
    if row.state in ("scheduled", "retrying"):
        due = "next attempt " if row.state == "retrying" and row.eta_at is not None and row.eta_at > now else "due "
        due += relative(row.eta_at, now)
        return " · ".join(part for part in (due if row.eta_at is not None else "", error) if part)[:SAYS]
    if row.state == "running" and row.started_at is not None:
        return f"running for {duration(now - row.started_at)}"
    return error[:SAYS]


def summary(filters: Filters, counts: Counts | None) -> str:
    """Returns the number of tasks that match the filters, where it is known exactly."""
    if counts is None:
        return "newest first; no count for this combination of filters"
    total = sum(count for _, count in counts.by_state)
    if not filters.state:
        return f"{number(total)} {'task' if total == 1 else 'tasks'}"
    chosen = sum(count for state, count in counts.by_state if state in filters.state)
    return f"{number(chosen)} {' or '.join(filters.state)} of {number(total)}"


def facets(filters: Filters, counts: Counts | None) -> tuple[ChoiceGroup, ...]:
    """Returns the facets. States are always in the same order; other values are ordered by frequency."""
    by_state = dict(counts.by_state) if counts else {}
    states = tuple(
        Choice(
            state,
            filters.but(state=() if filters.state == (state,) else (state,)).href(),
            state in filters.state,
            by_state.get(state, 0) if counts else None,
            state,
        )
        for state in STATES
    )
    groups = [ChoiceGroup("State", states)]
    known: tuple[tuple[str, str, Facet], ...] = (
        ("Task name", "name", counts.by_name if counts else []),
        ("Queue", "queue", counts.by_queue if counts else []),
    )
    for title, field, facet in known:
        choices = _values(filters, field, facet)
        if choices:
            groups.append(ChoiceGroup(title, choices[:FACET], choices[FACET:60], is_mono=field == "name"))
    if filters.worker:
        groups.append(ChoiceGroup("Worker", (Choice(filters.worker, filters.but(worker="").href(), True),)))
    if filters.label:
        groups.append(ChoiceGroup("Label", (Choice(filters.label, filters.but(label="").href(), True),)))
    spans = tuple(
        Choice(word, filters.but(since="" if filters.since == since else since, until="").href(), filters.since == since)
        for since, word in SPANS
    )
    groups.append(ChoiceGroup("Time", spans))
    return tuple(groups)


def _values(filters: Filters, field: str, facet: Facet) -> tuple[Choice, ...]:
    chosen = getattr(filters, field)
    values = [(word, count) for word, count in facet if word]
    choices = [Choice(word, filters.but(**{field: "" if word == chosen else word}).href(), word == chosen, count) for word, count in values]
    if chosen and chosen not in dict(values):
        choices.insert(0, Choice(chosen, filters.but(**{field: ""}).href(), True))
    return tuple(sorted(choices, key=lambda choice: not choice.is_on))


# -- exports ---------------------------------------------------------------------------------------------------------------


async def list_json(request: Request) -> Response:
    """GET /tasks.json: one page (`limit` up to 500) and the URLs of the adjacent pages. Times are microseconds UTC."""
    query, filters = request.query_params, filters_of(request)
    page = await list_tasks(
        services(request).store, filters.for_store(clock.now()), older=query.get("older"), newer=query.get("newer"),
        limit=limit_of(query.get("limit", "")),
    )  # fmt: skip
    path = "/tasks.json"
    return export.to_json(
        {
            "tasks": [export.plain(row) for row in page.rows],
            "older": filters.href(path, older=page.older) if page.older else None,
            "newer": filters.href(path, newer=page.newer) if page.newer else None,
            "searched_to": page.searched_to,
        }
    )


def limit_of(text: str) -> int:
    """Returns the requested number of rows. Raises BadInput."""
    if not text:
        return PAGE
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= JSON_LIMIT):
        raise BadInput(f"`limit` must be a number from 1 to {JSON_LIMIT}, not {middle(text)}.")
    return int(text)


async def list_csv(request: Request) -> Response:
    """GET /tasks.csv: all matching tasks, newest first, up to CSV_LIMIT rows."""
    wanted = filters_of(request).for_store(clock.now())
    return await export.to_csv(request, "tasks", COLUMNS, _all(services(request).store, wanted))


async def _all(store: Store, wanted: TaskFilter) -> AsyncIterator[TaskRow]:
    older: str | None = None
    seen = 0
    while seen < CSV_LIMIT:
        page: TaskPage = await list_tasks(store, wanted, older=older, limit=JSON_LIMIT)
        for row in page.rows:
            yield row
        seen += len(page.rows)
        older = page.older
        if older is None:
            return
