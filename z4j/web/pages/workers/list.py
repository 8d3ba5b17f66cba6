# SPDX-License-Identifier: AGPL-3.0-or-later
"""Workers: the processes that execute tasks, their load, and notes about their configuration."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from z4j import clock
from z4j.formats import DAY, duration, number, size
from z4j.store.fleet import gaps
from z4j.store.fleet.gaps import FaultRow, GapRow, RefusedRow
from z4j.store.fleet.workers import Position, WorkerPage, WorkerRow, page_of_workers
from z4j.store.names.name_limits import refused_text
from z4j.store.sqlite.db import Store
from z4j.web.frame import export, paging
from z4j.web.frame.paging import page_href, text_of
from z4j.web.frame.render import Shell, render
from z4j.web.frame.shell import make_shell
from z4j.web.frame.status_bar import scope_of
from z4j.web.pages.tasks.filters import Filters
from z4j.web.services import services

SINCE: Final = DAY
PAGE: Final = 100
EXPORTED: Final = 1_000
"""Workers in one answer of /workers.json and of the API."""
SKEW: Final = 500_000
"""Microseconds that two clocks may differ without a note."""


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """A worker as one row. `notes` are sentences, the most serious first."""

    name: str
    state: str
    app: str
    environment: str
    engines: str
    release: str
    pool: str
    held: int
    """Running tasks, if it is connected. `/workers.json` has this name."""
    capacity: int | None
    queues: tuple[str, ...]
    seen_at: int
    notes: tuple[str, ...]
    href: str
    page_href: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Refused records of an app, with the time of the last one."""

    app: str
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class WorkersPage:
    """The context of workers/list.html."""

    shell: Shell
    lines: tuple[WorkerLine, ...]
    summary: str
    more_href: str
    """The next page, "" on the last."""
    first_href: str
    """The first page, "" on the first."""
    gaps: tuple[GapRow, ...]
    refused: tuple[Refused, ...]
    faults: tuple[FaultRow, ...]
    live_href: str
    is_scoped: bool


async def list_page(request: Request) -> Response:
    """GET /workers: those seen in the last 24 hours."""
    scope, now, after = scope_of(request), clock.now(), position_from(request)
    store = services(request).store
    fetched = await page_of(store, scope, now, after, PAGE)
    here = page_href("/workers", scope, after) if after else scope.href("/workers")
    page = WorkersPage(
        shell=await make_shell(request, "workers"),
        lines=tuple(line(row) for row in fetched.rows),
        summary=_summary(fetched),
        more_href=page_href("/workers", scope, fetched.last) if fetched.last else "",
        first_href=scope.href("/workers") if after else "",
        gaps=tuple(await gaps.list_gaps(store, since=now - SINCE)),
        refused=tuple(refused(row) for row in await gaps.list_refused(store)),
        faults=tuple(await gaps.list_faults(store, since=now - SINCE)),
        live_href=here,
        is_scoped=not scope.is_any,
    )
    return render(request, "workers/list.html", page)


async def page_of(store: Store, scope: Filters, now: int, after: Position | None, limit: int) -> WorkerPage:
    """Returns one page of the workers seen in the last 24 hours."""
    return await page_of_workers(
        store, since=now - SINCE, app=scope.app, environment=scope.environment, engine=scope.engine, after=after, limit=limit
    )


def position_from(request: Request) -> Position | None:
    """Returns the position in `after` of a URL; None at the beginning. Raises BadInput."""
    return paging.position_from(request, Position, "workers")


def _summary(page: WorkerPage) -> str:
    text = f"{number(page.connected)} connected, running {number(page.running)} of {number(page.capacity)}"
    return f"{text}; {number(page.silent)} silent" if page.silent else text


def refused(row: RefusedRow) -> Refused:
    """Returns a sentence about records that were refused, or stored under another name."""
    return Refused(row.app, refused_text(row.cause, row.events), row.last_at)


def line(row: WorkerRow) -> WorkerLine:
    """Returns a row of the store as a row of the page."""
    agent = row.agent
    return WorkerLine(
        name=row.name, state=row.state, app=row.app, environment=row.environment,
        engines=", ".join(f"{engine} {version}" for engine, version in sorted(agent.engines.items())), release=agent.release,
        pool=agent.pool, held=sum(1 for task in agent.running if task.started_at) if row.state == "connected" else 0,
        capacity=agent.concurrency, queues=tuple(agent.queues), seen_at=agent.seen_at, notes=notes(row),
        href=Filters(worker=row.name, app=row.app, environment=row.environment).href(),
        page_href=f"/workers/{quote(row.name, safe='')}?{urlencode({'app': row.app, 'environment': row.environment})}",
    )  # fmt: skip


def notes(row: WorkerRow) -> tuple[str, ...]:
    """Returns notes about a worker for operators, one sentence each."""
    agent = row.agent
    texts = []
    if row.processes > 1:
        texts.append(f"{number(row.processes)} connected processes share this name, so their tasks cannot be distinguished.")
    if agent.dropped:
        texts.append(f"Its spool was full: {number(agent.dropped)} events were dropped.")
    if agent.seal_key and agent.app_seal_key and agent.seal_key != agent.app_seal_key:
        texts.append("Its seal key differs from that of its app: originals that it sealed can be retried only by agents with the same key.")
    if abs(agent.clock_skew_us) > SKEW:
        texts.append(f"Its clock is {duration(abs(agent.clock_skew_us))} {'behind' if agent.clock_skew_us > 0 else 'ahead'}.")
    if agent.faults:
        texts.append(f"Its agent had {number(agent.faults)} internal errors; the application was not affected.")
    if agent.spool_bytes > 1_000_000:
        texts.append(f"{size(agent.spool_bytes)} of events are waiting to be sent.")
    if agent.allow == "read":
        texts.append("The owner of the application permits no changes (Z4J_ALLOW=read).")
    return (*texts, *agent.worker_notes, *agent.notes)


async def list_json(request: Request) -> Response:
    """GET /workers.json."""
    fetched = await page_of(services(request).store, scope_of(request), clock.now(), position_from(request), EXPORTED)
    body = {"workers": [export.plain(line(row)) for row in fetched.rows], "after": text_of(fetched.last) if fetched.last else None}
    return export.to_json(body)


async def list_csv(request: Request) -> Response:
    """GET /workers.csv."""
    scope, store, now = scope_of(request), services(request).store, clock.now()

    async def rows() -> AsyncIterator[WorkerLine]:
        after, is_more = position_from(request), True
        while is_more:
            fetched = await page_of(store, scope, now, after, EXPORTED)
            for row in fetched.rows:
                yield line(row)
            after, is_more = fetched.last, fetched.last is not None

    columns = tuple(name for name in WorkerLine.__dataclass_fields__ if not name.endswith("href"))
    return await export.to_csv(request, "workers", columns, rows())
