# SPDX-License-Identifier: AGPL-3.0-or-later
"""The list of tasks as .json and .csv: a page of it, or everything that matches, streamed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import fields, replace
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from z4j import clock
from z4j.exceptions import BadInput
from z4j.formats import middle
from z4j.store.sqlite.db import Store
from z4j.store.tasks.tasks import TaskFilter, TaskPage, TaskRow, list_tasks
from z4j.web.frame import export
from z4j.web.pages.tasks.filters import filters_of
from z4j.web.services import services

PAGE: Final = 50
JSON_LIMIT: Final = 500
COLUMNS: Final = tuple(field.name for field in fields(TaskRow) if field.name not in ("flags", "progress"))


async def list_json(request: Request) -> Response:
    """GET /tasks.json: one page (`limit` up to 500) and the URLs of the adjacent pages, or with `limit=all` everything that matches. Times
    are microseconds UTC."""
    query, filters = request.query_params, filters_of(request)
    wanted = filters.for_store(clock.now())
    if query.get("limit") == "all":
        return _whole(request, wanted)
    page = await list_tasks(
        services(request).store, wanted, older=query.get("older"), newer=query.get("newer"), limit=limit_of(query.get("limit", ""))
    )
    path = "/tasks.json"
    return export.to_json(
        {
            "tasks": [export.plain(row) for row in page.rows],
            "older": filters.href(path, older=page.older) if page.older else None,
            "newer": filters.href(path, newer=page.newer) if page.newer else None,
            "searched_to": page.searched_to,
            "searched": page.searched,
        }
    )


def limit_of(text: str) -> int:
    """Returns the requested number of rows. Raises BadInput."""
    if not text:
        return PAGE
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= JSON_LIMIT):
        raise BadInput(f"`limit` must be a number from 1 to {JSON_LIMIT}, not {middle(text)}.")
    return int(text)


def _whole(request: Request, wanted: TaskFilter) -> Response:
    headers = {"Content-Disposition": 'attachment; filename="tasks.json"', "Cache-Control": "no-store"}
    if request.method == "HEAD":
        return Response(None, media_type="application/json", headers=headers)

    async def parts() -> AsyncIterator[str]:
        yield '{"tasks": ['
        separator = "\n"
        async for row in _all(services(request).store, wanted):
            yield separator + json.dumps(export.plain(row), ensure_ascii=False)
            separator = ",\n"
        yield "\n]}\n"

    return StreamingResponse(parts(), media_type="application/json", headers=headers)


async def list_csv(request: Request) -> Response:
    """GET /tasks.csv: all matching tasks, newest first."""
    wanted = filters_of(request).for_store(clock.now())
    return await export.to_csv(request, "tasks", COLUMNS, _all(services(request).store, wanted))


async def _all(store: Store, wanted: TaskFilter) -> AsyncIterator[TaskRow]:
    """Every matching task, newest first whatever the order of the page: the longest ones are known only at the end."""
    older: str | None = None
    while True:
        page: TaskPage = await list_tasks(store, replace(wanted, order="first"), older=older, limit=JSON_LIMIT)
        for row in page.rows:
            yield row
        older = page.older
        if older is None:
            return
