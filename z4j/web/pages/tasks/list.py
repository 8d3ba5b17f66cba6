# SPDX-License-Identifier: AGPL-3.0-or-later
"""Tasks: the list with its query and live refresh. Its exports: see exports.py; one task: see detail.py."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from z4j import clock
from z4j.background.word_index import IndexReport
from z4j.formats import duration, plural
from z4j.rules.permissions import is_allowed, may_act
from z4j.rules.queries.completion import Completion
from z4j.rules.queries.parse import WrongQuery
from z4j.rules.tasks.states import FINAL
from z4j.store.errors import top_groups
from z4j.store.errors.top_groups import TopGroup
from z4j.store.fleet import apps
from z4j.store.sqlite.db import Store
from z4j.store.tasks import task_search
from z4j.store.tasks.counters import count_tasks
from z4j.store.tasks.task_search import TaskFilter
from z4j.store.tasks.tasks import TaskRow, list_tasks
from z4j.web.frame.render import ChoiceGroup, Shell, is_refresh, render, respond, to_html
from z4j.web.frame.shell import make_shell
from z4j.web.frame.status_bar import scope_of
from z4j.web.frame.times import relative
from z4j.web.pages.tasks.annotations import ProgressBar, bar_of
from z4j.web.pages.tasks.completion import completions_of
from z4j.web.pages.tasks.exports import PAGE
from z4j.web.pages.tasks.facets import BAD_ENDS, count_of_error, facets, summary
from z4j.web.pages.tasks.filters import COLUMNS, USUAL_COLUMNS, Filters, filters_of
from z4j.web.services import services

NEWS_LIMIT: Final = 200
MOST_SHOWN: Final = 300
ERRORS: Final = 16
"""Errors to choose from."""
BAD: Final = frozenset({"failed", "lost", "rejected", "expired"})
LATE_US: Final = 3_000_000
"""An index of words that is so far behind is reported on the page."""


@dataclass(frozen=True, slots=True)
class Line:
    """A task as one row of a list. `outcome` is its result, its error, or its due time."""

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
    outcome: str
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
    app: str = ""
    environment: str = ""
    release: str = ""
    error_type: str = ""
    enqueued_at: int | None = None
    started_at: int | None = None
    progress: ProgressBar | None = None
    """Of a running task that reports it."""


@dataclass(frozen=True, slots=True)
class Heading:
    """The head of a column. `href` orders the list by it, or ends that order; empty where it cannot be ordered by."""

    name: str
    word: str
    href: str = ""
    is_on: bool = False


USUAL_HEADINGS: Final = tuple(Heading(name, COLUMNS[name]) for name in USUAL_COLUMNS)


@dataclass(frozen=True, slots=True)
class WrongWord:
    """The text of a query that cannot be understood, in three parts, of which the second is wrong."""

    before: str
    word: str
    after: str
    message: str
    hint: str


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
    headings: tuple[Heading, ...] = USUAL_HEADINGS
    note: str = ""
    """What the index of words does not have yet."""


@dataclass(frozen=True, slots=True)
class TasksPage:
    """The context of tasks/list.html."""

    shell: Shell
    query: str
    region: Region | None
    """None where the query cannot be understood."""
    json_href: str
    csv_href: str
    may_plan: bool
    pairs: tuple[tuple[str, str], ...]
    """The filters as hidden fields of a form."""
    wrong: WrongWord | None = None
    columns: tuple[tuple[str, str, bool], ...] = ()
    """(name, heading, whether it is shown) of every column that can be chosen."""
    completions: tuple[Completion, ...] = ()
    views_href: str = "/tasks/views"


@dataclass(frozen=True, slots=True)
class TasksRegion:
    """The context of tasks/_region.html."""

    region: Region


async def list_page(request: Request) -> Response:
    """GET /tasks: a page of the list, or its region for htmx. `q` is a query; it gets its one form in the URL (see filters.py)."""
    query = request.query_params
    try:
        filters = filters_of(request)
    except WrongQuery as wrong:
        return await _wrong_page(request, wrong)
    if "q" in query and (query["q"] != filters.q or not filters.q):
        return RedirectResponse(filters.href(older=query.get("older"), newer=query.get("newer"), top=query.get("top")), 303)
    server = services(request)
    region = await make_region(
        server.store, filters, query.get("older"), query.get("newer"), query.get("top"), able(request), server.word_index.report
    )
    if is_refresh(request):
        return respond(request, to_html("tasks/_region.html", TasksRegion(region)))
    page = TasksPage(
        await make_shell(request, "tasks", filters), filters.text(), region, filters.href("/tasks.json", limit="all"),
        filters.href("/tasks.csv"), is_allowed(request.scope["identity"].role, "operator"),
        tuple(filters.but(columns=()).pairs()),
        columns=tuple((name, word, name in (filters.columns or USUAL_COLUMNS)) for name, word in COLUMNS.items()),
        views_href=filters.href("/tasks/views"),
        completions=await completions_of(server.store, f"{filters.text()} ".lstrip()),
    )  # fmt: skip
    return render(request, "tasks/list.html", page)


async def _wrong_page(request: Request, wrong: WrongQuery) -> Response:
    """The query box with the query, and which word of it is wrong."""
    end = wrong.start + wrong.length
    word = WrongWord(wrong.text[: wrong.start], wrong.text[wrong.start : end], wrong.text[end:], wrong.message, wrong.hint)
    page = TasksPage(await make_shell(request, "tasks", scope_of(request)), wrong.text, None, "", "", False, (), word)
    return render(request, "tasks/list.html", page, 400)


async def make_region(
    store: Store,
    filters: Filters,
    older: str | None,
    newer: str | None,
    top: str | None,
    can: frozenset[tuple[str, str]],
    index: IndexReport | None = None,
) -> Region:
    """Returns the rows beyond a cursor. `top` is the newest row of an open page: it remains on top, and newer rows are counted."""
    now = clock.now()
    wanted = filters.for_store(now)
    news, is_fresh = 0, not top
    if top and not older and not newer and wanted.order == "first":
        at, id = task_search.position(top)
        page = await list_tasks(store, wanted, older=task_search.cursor((at, id + 1)), limit=PAGE)
        news = len((await list_tasks(store, wanted, newer=top, limit=NEWS_LIMIT)).rows)
    else:
        page = await list_tasks(store, wanted, older=older, newer=newer, limit=PAGE)
    counts = await count_tasks(store, wanted)
    groups, is_counted = await _errors(store, filters, wanted)
    is_first = not older and not newer
    if is_first and page.rows:
        top = top or page.first
    of_error = count_of_error(filters, groups) if is_counted else None
    is_new = not page.rows and filters.is_any and is_first
    return Region(
        now=now,
        lines=tuple(line(row, filters, now, can) for row in page.rows),
        facets=facets(filters, counts, groups),
        summary=summary(filters, wanted.counted_states(), counts, page, is_first=is_first and is_fresh, of_error=of_error),
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
        headings=headings(filters, wanted.order),
        note=note(index) if index is not None and wanted.texts() else "",
    )


async def _errors(store: Store, filters: Filters, wanted: TaskFilter) -> tuple[list[TopGroup], bool]:
    """The errors to choose from, while the chosen tasks are those that failed, and whether their tasks are counted."""
    others = replace(wanted, error_group="")
    if not (filters.error_group or (filters.state and set(filters.state) <= set(BAD_ENDS))):
        return [], False
    if not others.is_counted:
        return await top_groups.named(store, filters.error_group), False
    return await top_groups.list_top(store, others, ERRORS, also=filters.error_group), True


def headings(filters: Filters, order: str) -> tuple[Heading, ...]:
    """Returns the heads of the chosen columns."""
    return tuple(
        Heading(name, COLUMNS[name], filters.ordered("first" if name == order else name).href(), name == order)
        if name in ("waited", "ran")
        else Heading(name, COLUMNS[name])
        for name in filters.columns or USUAL_COLUMNS
    )


def note(report: IndexReport) -> str:
    """Returns what the index of words does not have yet; "" where it is as new as it should be."""
    late = f"{duration(report.lag_us)} behind" if report.lag_us > LATE_US else ""
    old = f"without {plural(report.old_left, 'earlier task')} not indexed yet" if report.old_left else ""
    return f"The search index is {' and '.join(filter(None, (late, old)))}." if late or old else ""


def line(row: TaskRow, filters: Filters, now: int, can: frozenset[tuple[str, str]]) -> Line:
    """Returns a row of the store as a row of the page."""
    return Line(
        id=row.id, state=row.state, reason=row.reason, name=row.name, label=row.label,
        label_href=filters.but(label=row.label).href(), task_id=row.task_id, engine=row.engine, queue=row.queue,
        queue_href=filters.but(queue=row.queue).href(), worker=row.worker, attempt=row.attempt, args=row.args[:MOST_SHOWN],
        outcome=outcome(row, now), is_bad=row.state in BAD, is_open=row.state not in FINAL, cancel_asked_at=row.cancel_asked_at,
        waited_us=row.waited_us, runtime_us=row.runtime_us, last_at=row.last_at, action=_likeliest(row, can), back=filters.href(),
        app=row.app, environment=row.environment, release=row.release, error_type=row.error_type, enqueued_at=row.enqueued_at,
        started_at=row.started_at, progress=bar_of(row.progress),
    )  # fmt: skip


def _likeliest(row: TaskRow, can: frozenset[tuple[str, str]]) -> str:
    action = "retry" if row.state in BAD else "cancel" if row.state in ("queued", "scheduled", "retrying") else ""
    return action if (row.engine, f"{action}_task") in can else ""


def able(request: Request) -> frozenset[tuple[str, str]]:
    """Returns (engine, action) of the actions that this person may request and some connected agent can do."""
    role = request.scope["identity"].role
    return frozenset(capability for link in services(request).hub.all() for capability in link.capabilities if may_act(role, capability[1]))


def outcome(row: TaskRow, now: int) -> str:
    """Returns the text after the arrow of the second line: the outcome, or the due time."""
    error = f"{row.error_type}: {row.error}" if row.error_type and row.error else row.error_type or row.error
    error = error.partition("\n")[0]
    if row.state == "succeeded":
        return row.result[:MOST_SHOWN]
    if row.state in ("scheduled", "retrying"):
        due = "next attempt " if row.state == "retrying" and row.eta_at is not None and row.eta_at > now else "due "
        due += relative(row.eta_at, now)
        return " · ".join(part for part in (due if row.eta_at is not None else "", error) if part)[:MOST_SHOWN]
    if row.state == "running" and row.started_at is not None:
        return f"running for {duration(now - row.started_at)}"
    return error[:MOST_SHOWN]
