# SPDX-License-Identifier: AGPL-3.0-or-later
"""Errors: failures that are one problem, the last seen first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from z4j.formats import plural
from z4j.rules.errors.group_states import GROUP_STATES, OPEN
from z4j.rules.permissions import may_act
from z4j.store.errors import error_groups
from z4j.store.errors.error_groups import ErrorGroup, Hour, Place
from z4j.store.sqlite.db import Store
from z4j.store.tasks.task_search import cursor
from z4j.web.frame import export
from z4j.web.frame.paging import moment_from
from z4j.web.frame.render import Choice, Shell, render
from z4j.web.frame.shell import make_shell
from z4j.web.pages.errors.filters import ErrorFilters, from_query
from z4j.web.services import services

PAGE: Final = 50
EXPORTED: Final = 500
"""Groups in one answer of /errors.json and of the API."""
COLUMNS: Final = tuple(field.name for field in fields(ErrorGroup) if field.name not in ("app_id", "stored"))


@dataclass(frozen=True, slots=True)
class Line:
    """A group as one row. `share` is that of the stored tasks of its most frequent name; it is empty where there are none."""

    group: ErrorGroup
    hours: tuple[float, ...]
    """Failures in each of the last hours, the present one last."""
    hours_label: str
    names: tuple[str, ...]
    engines: tuple[str, ...]
    environments: tuple[str, ...]
    queues: tuple[str, ...]
    share: str


@dataclass(frozen=True, slots=True)
class ErrorsPage:
    """The context of errors/list.html."""

    shell: Shell
    lines: tuple[Line, ...]
    summary: str
    tabs: tuple[Choice, ...]
    narrowed: tuple[tuple[str, str, str], ...]
    """(filter, value, the URL without it) of those that no chip shows."""
    may_change: bool
    grouped_since: int | None
    """Older failures are still being grouped."""
    live_href: str
    more_href: str
    first_href: str
    csv_href: str
    json_href: str
    is_narrowed: bool


async def list_page(request: Request) -> Response:
    """GET /errors."""
    store, filters = services(request).store, filters_of(request)
    shell = await make_shell(request, "errors", filters.scope())
    after = moment_from(request, "after")
    groups, more = await error_groups.list_groups(store, filters.for_store(), after, PAGE)
    lines = await lines_of(store, groups, shell.now)
    is_part = more is not None or after is not None
    here = {"after": request.query_params["after"]} if after is not None else {}
    page = ErrorsPage(
        shell=shell,
        lines=lines,
        summary=f"{plural(len(lines), 'error')}{' on this page' if is_part else ''}",
        tabs=_tabs(filters),
        narrowed=tuple(
            (word, getattr(filters, word), filters.but(**{word: ""}).href())
            for word in ("name", "queue", "assigned")
            if getattr(filters, word)
        ),
        may_change=may_act(request.scope["identity"].role, "change_error"),
        grouped_since=await error_groups.grouped_since(store),
        live_href=filters.href(**here),
        more_href=filters.href(after=cursor(more)) if more else "",
        first_href=filters.href() if after is not None else "",
        csv_href=filters.href("/errors.csv"),
        json_href=filters.href("/errors.json"),
        is_narrowed=filters != ErrorFilters(),
    )
    return render(request, "errors/list.html", page)


def filters_of(request: Request) -> ErrorFilters:
    """Returns the filters in the URL of a request. Raises BadInput."""
    return from_query(request.query_params, request.query_params.getlist("state"))


def _tabs(filters: ErrorFilters) -> tuple[Choice, ...]:
    tabs: list[tuple[str, tuple[str, ...]]] = [("open", ()), *((state, (state,)) for state in GROUP_STATES), ("all", tuple(GROUP_STATES))]
    chosen = () if set(filters.state) == set(OPEN) else filters.state
    return tuple(Choice(word, filters.but(state=states).href(), set(chosen) == set(states)) for word, states in tabs)


async def lines_of(store: Store, groups: Sequence[ErrorGroup], now: int) -> tuple[Line, ...]:
    """Returns groups as rows of the page."""
    if not groups:
        return ()
    ids = [group.id for group in groups]
    hours = await error_groups.list_hours(store, ids, now)
    places = await error_groups.list_places(store, ids)
    shares = await error_groups.share_of_runs(store, [(group.app_id, places.get(group.id, [])) for group in groups])
    return tuple(_line(group, hours[group.id], places.get(group.id, []), shares) for group in groups)


def _line(group: ErrorGroup, hours: Sequence[Hour], places: Sequence[Place], shares: dict[tuple[int, str], int]) -> Line:
    failed: dict[str, int] = {}
    for place in places:
        failed[place.name] = failed.get(place.name, 0) + place.failed
    name = max(failed, key=lambda each: failed[each], default="")
    return Line(
        group=group,
        hours=tuple(float(hour.failed + hour.retried + hour.cured) for hour in hours),
        hours_label=hours_label(hours),
        names=distinct(place.name for place in places),
        engines=distinct(place.engine for place in places),
        environments=distinct(place.environment for place in places),
        queues=distinct(place.queue for place in places),
        share=share_text(failed.get(name, 0), shares.get((group.app_id, name), 0)),
    )


def distinct(texts: Iterable[str]) -> tuple[str, ...]:
    """Returns texts without empty ones and copies, in their order."""
    return tuple(dict.fromkeys(text for text in texts if text))


def hours_label(hours: Sequence[Hour]) -> str:
    """Says in words what the curve of some hours shows."""
    failed, attempts = sum(hour.failed for hour in hours), sum(hour.retried + hour.cured for hour in hours)
    return f"{plural(failed, 'failed task')} and {plural(attempts, 'failed attempt')} in {plural(len(hours), 'hour')}"


def share_text(failed: int, tasks: int) -> str:
    """Returns a share as text, "" where nothing is stored."""
    if not failed or not tasks:
        return ""
    percent = failed * 100 / tasks
    return "<1%" if percent < 1 else f"{min(percent, 100):.0f}%"


async def list_json(request: Request) -> Response:
    """GET /errors.json and GET /api/v1/errors."""
    groups, more = await error_groups.list_groups(
        services(request).store, filters_of(request).for_store(), moment_from(request, "after"), EXPORTED
    )
    return export.to_json({"errors": [export.plain(group) for group in groups], "after": cursor(more) if more else None})


async def list_csv(request: Request) -> Response:
    """GET /errors.csv."""
    store, filters = services(request).store, filters_of(request).for_store()

    async def rows() -> AsyncIterator[ErrorGroup]:
        after = None
        while True:
            groups, after = await error_groups.list_groups(store, filters, after, EXPORTED)
            for group in groups:
                yield group
            if after is None:
                return

    return await export.to_csv(request, "errors", COLUMNS, rows())
