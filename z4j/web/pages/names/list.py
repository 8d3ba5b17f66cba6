# SPDX-License-Identifier: AGPL-3.0-or-later
"""Task names: how often each ran in a range, how it ended, and how long it took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from z4j import clock
from z4j.rules.findings.activity import BAD
from z4j.rules.history.ranges import SPANS, choose
from z4j.rules.rollups import MINUTE_US, percentile
from z4j.store.rollups import series_history
from z4j.store.rollups.name_totals import NameTotal, list_names
from z4j.web.frame import export
from z4j.web.frame.render import Choice, Shell, render
from z4j.web.frame.shell import make_shell
from z4j.web.frame.status_bar import scope_of
from z4j.web.pages import history_charts
from z4j.web.pages.names.detail import href_of
from z4j.web.services import services

MOST_PAGES: Final = 200


@dataclass(frozen=True, slots=True)
class NameLine:
    """A task name as one row. Times are microseconds. `is_partial`: the numbers of the range are at least these."""

    name: str
    href: str
    ended: int
    ended_href: str
    per_minute: float
    bad: int
    bad_href: str
    retried: int
    p50_us: int | None
    p95_us: int | None
    stored: int
    tasks_href: str
    is_partial: bool


@dataclass(frozen=True, slots=True)
class NamesPage:
    """The context of names/list.html."""

    shell: Shell
    lines: tuple[NameLine, ...]
    spans: tuple[Choice, ...]
    wanted: str
    hidden: tuple[tuple[str, str], ...]
    here: str
    json_href: str
    more_href: str
    first_href: str


async def list_page(request: Request) -> Response:
    """GET /names."""
    scope, key, wanted, page = scope_of(request), choose(request.query_params.get("range")), _wanted(request), _page(request)
    shell = await make_shell(request, "tasks")
    lines, is_more = await _lines(request, shell.now)

    def href(key: str, number: int = 0, path: str = "/names") -> str:
        more = [("q", wanted), ("range", key), ("page", str(number) if number else "")]
        return f"{path}?{urlencode([*scope.pairs(), *((name, value) for name, value in more if value)])}"

    context = NamesPage(
        shell, tuple(lines), history_charts.span_choices(href, key), wanted, (*scope.pairs(), ("range", key)), href(key, page),
        href(key, page, "/names.json"), href(key, page + 1) if is_more else "", href(key) if page else "",
    )  # fmt: skip
    return render(request, "names/list.html", context)


async def list_json(request: Request) -> Response:
    """GET /names.json and GET /api/v1/names."""
    return export.to_json(await plain_names(request))


async def plain_names(request: Request) -> dict[str, Any]:
    """Returns a page of task names as JSON data; `page` is the number of the next one, null on the last."""
    lines, is_more = await _lines(request, clock.now())
    names = [
        {name: value for name, value in export.plain(line).items() if not name.endswith("href")} | {"per_minute": round(line.per_minute, 4)}
        for line in lines
    ]
    return {"range": choose(request.query_params.get("range")), "names": names, "page": _page(request) + 1 if is_more else None}


async def _lines(request: Request, now: int) -> tuple[list[NameLine], bool]:
    scope, key = scope_of(request), choose(request.query_params.get("range"))
    store = services(request).store
    place = await series_history.find_place(store, "name", "", scope.app, scope.environment, scope.engine)
    if place is None:
        return [], False
    since = now - SPANS[key].us
    names, is_more = await list_names(store, place, _wanted(request), since, now, _page(request))

    def line(each: NameTotal) -> NameLine:
        rows = scope.but(name=each.name)
        within = history_charts.between(rows, since, now + MINUTE_US)
        ended = max(each.sums.ended, 0)
        return NameLine(
            each.name, href_of(each.name, scope, range=key), ended, within.href(), ended * MINUTE_US / SPANS[key].us,
            history_charts.ended_badly(each.sums), within.but(state=BAD).href(), each.sums.retried,
            history_charts.rounded(percentile(each.ran, 0.5)), history_charts.rounded(percentile(each.ran, 0.95)), each.stored, rows.href(),
            each.is_partial,
        )  # fmt: skip

    return [line(each) for each in names], is_more


def _wanted(request: Request) -> str:
    return request.query_params.get("q", "").strip()[:200]


def _page(request: Request) -> int:
    text = request.query_params.get("page", "0")
    return min(int(text), MOST_PAGES) if text.isascii() and text.isdigit() and len(text) < 6 else 0
