# SPDX-License-Identifier: AGPL-3.0-or-later
"""Queues: the depth that their brokers report, and the number of their tasks by state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from z4j.formats import MINUTE, number, plural
from z4j.store.fleet import queues
from z4j.store.fleet.paused_queues import find_pause, list_paused
from z4j.store.fleet.queues import FIRST, Position, QueueRow, each_queue, place_of
from z4j.web.frame import export, paging
from z4j.web.frame.paging import page_href, text_of
from z4j.web.frame.render import Shell, render
from z4j.web.frame.shell import make_shell
from z4j.web.frame.status_bar import BAD, scope_of
from z4j.web.pages.tasks.filters import Filters
from z4j.web.services import services

PAGE: Final = 100
EXPORTED: Final = 1_000
"""Queues in one answer of /queues.json and of the API."""
STALE: Final = 5 * MINUTE
"""An older report of a broker is shown in gray."""


@dataclass(frozen=True, slots=True)
class QueueLine:
    """A queue as one row; each number is a link to its tasks."""

    row: QueueRow
    is_stale: bool
    is_unserved: bool
    """Tasks are waiting and there is no consumer."""
    is_paused: bool
    href: str
    page_href: str
    waiting_href: str
    running_href: str
    retrying_href: str
    failed_href: str
    scheduled_href: str
    is_counted: bool = True
    """False of a queue's further brokers: its tasks are counted with the first."""


@dataclass(frozen=True, slots=True)
class QueuesPage:
    """The context of queues/list.html."""

    shell: Shell
    lines: tuple[QueueLine, ...]
    summary: str
    more_href: str
    """The next page, "" on the last."""
    first_href: str
    """The first page, "" on the first."""
    live_href: str
    is_scoped: bool


async def list_page(request: Request) -> Response:
    """GET /queues."""
    scope = scope_of(request)
    shell = await make_shell(request, "queues")
    held = await list_paused(services(request).store, services(request).hub.same_brokers())
    after = position_from(request)
    rows, last = await page_of(request, scope, after, PAGE)
    lines, before = list[QueueLine](), FIRST
    for row in rows:
        lines.append(line(row, shell.now, is_paused=find_pause(held, row) is not None, is_counted=place_of(row) != before))
        before = place_of(row)
    waiting = sum(each.row.waiting for each in lines if each.is_counted)
    is_part = last is not None or after != FIRST
    summary = f"{plural(len(lines), 'queue')}{' on this page' if is_part else ''}, {number(waiting)} waiting"
    page = QueuesPage(
        shell, tuple(lines), summary, page_href("/queues", scope, last) if last else "", scope.href("/queues") if after != FIRST else "",
        page_href("/queues", scope, after) if after != FIRST else scope.href("/queues"), not scope.is_any,
    )  # fmt: skip
    return render(request, "queues/list.html", page)


async def page_of(request: Request, scope: Filters, after: Position, limit: int) -> tuple[list[QueueRow], Position | None]:
    """Returns one page of queues, and the position of the next one; None on the last page."""
    store, same = services(request).store, services(request).hub.same_brokers()
    return await queues.page_of(
        store, app=scope.app, environment=scope.environment, engine=scope.engine, after=after, limit=limit, same=same
    )


def position_from(request: Request) -> Position:
    """Returns the position in `after` of a URL. Raises BadInput."""
    return paging.position_from(request, Position, "queues") or FIRST


def href_of(row: QueueRow, **more: str) -> str:
    """Returns the URL of a queue; it includes the app and engine, because several queues may have one name."""
    of_broker = {"broker": row.needed_broker} if row.is_in_several_brokers else {}
    query = urlencode({"app": row.app, "environment": row.environment, "engine": row.engine, **of_broker, **more})
    return f"/queues/{quote(row.name, safe='')}?{query}"


def line(row: QueueRow, now: int, *, is_paused: bool = False, is_counted: bool = True) -> QueueLine:
    """Returns a row of the store as a row of the page."""
    here = Filters(queue=row.name, engine=row.engine, app=row.app, environment=row.environment)
    return QueueLine(
        row=row,
        is_stale=row.seen_at is not None and now - row.seen_at > STALE,
        is_unserved=row.consumers == 0 and (row.depth or row.waiting) > 0,
        is_paused=is_paused,
        href=here.href(),
        page_href=href_of(row) if row.name else here.href(),
        waiting_href=here.but(state=("queued", "received")).href(),
        running_href=here.but(state=("running",)).href(),
        retrying_href=here.but(state=("retrying",)).href(),
        failed_href=here.but(state=BAD).href(),
        scheduled_href=here.but(state=("scheduled",)).href(),
        is_counted=is_counted,
    )


async def list_json(request: Request) -> Response:
    """GET /queues.json."""
    rows, last = await page_of(request, scope_of(request), position_from(request), EXPORTED)
    return export.to_json({"queues": [export.plain(row) for row in rows], "after": text_of(last) if last else None})


async def list_csv(request: Request) -> Response:
    """GET /queues.csv."""
    scope, server = scope_of(request), services(request)
    same = server.hub.same_brokers()
    rows = each_queue(server.store, app=scope.app, environment=scope.environment, engine=scope.engine, same=same)
    return await export.to_csv(request, "queues", tuple(QueueRow.__dataclass_fields__), rows)
