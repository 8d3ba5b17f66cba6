# SPDX-License-Identifier: AGPL-3.0-or-later
"""Find: one field over pages, tasks, names, queues, workers, schedules, errors, views and actions. The palette shows the same results."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from z4j.rules.queries.search_ranking import Found
from z4j.web.frame.render import Shell, render
from z4j.web.frame.shell import make_shell
from z4j.web.pages.find.sources import LONGEST, find


@dataclass(frozen=True, slots=True)
class FindPage:
    """The context of find/page.html."""

    shell: Shell
    query: str
    found: tuple[Found, ...]


async def page(request: Request) -> Response:
    """GET /find: the search results of the text `q`, as links."""
    query = request.query_params.get("q", "").strip()[:LONGEST]
    found = await find(request, query)
    return render(request, "find/page.html", FindPage(await make_shell(request, "find"), query, tuple(found)))


async def results(request: Request) -> Response:
    """GET /find/results: the same for the palette, as JSON: {"results": [{"kind", "text", "note", "href", "rank"}]}."""
    found = await find(request, request.query_params.get("q", ""))
    answer = [{"kind": each.kind, "text": each.text, "note": each.note, "href": each.href, "rank": rank} for each, rank in found]
    return JSONResponse({"results": answer})
