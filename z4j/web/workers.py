# SPDX-License-Identifier: AGPL-3.0-or-later
"""Workers: the processes that execute tasks, what they hold, and what is wrong with how they are set up."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from z4j import clock
from z4j.store import gaps
from z4j.store.gaps import FaultRow, GapRow, RefusedRow
from z4j.store.workers import WorkerRow, list_workers
from z4j.web import export
from z4j.web.filters import Filters
from z4j.web.formats import DAY, duration, number, size
from z4j.web.render import Shell, render
from z4j.web.services import services
from z4j.web.shell import make_shell
from z4j.web.strip import scope_of

SINCE: Final = DAY
ORDER: Final = {"connected": 0, "silent": 1, "left": 2}
SKEW: Final = 500_000
"""Microseconds two clocks may differ before the page says so."""


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """A worker as one row. `notes` are sentences about it, the most serious first."""

    name: str
    state: str
    app: str
    environment: str
    engines: str
    release: str
    pool: str
    held: int
    capacity: int | None
    queues: tuple[str, ...]
    seen_at: int
    notes: tuple[str, ...]
    href: str
    page_href: str


@dataclass(frozen=True, slots=True)
class WorkersPage:
    """The context of workers/list.html."""

    shell: Shell
    lines: tuple[WorkerLine, ...]
    summary: str
    gaps: tuple[GapRow, ...]
    refused: tuple[RefusedRow, ...]
    faults: tuple[FaultRow, ...]
    live_href: str
    is_scoped: bool


async def list_page(request: Request) -> Response:
    """GET /workers: those seen within a day."""
    scope, now = scope_of(request), clock.now()
    lines = tuple(line(row) for row in await _rows(request, scope, now))
    store = services(request).store
    page = WorkersPage(
        shell=await make_shell(request, "workers"),
        lines=lines,
        summary=_summary(lines),
        gaps=tuple(await gaps.list_gaps(store, since=now - SINCE)),
        refused=tuple(await gaps.list_refused(store)),
        faults=tuple(await gaps.list_faults(store, since=now - SINCE)),
        live_href=scope.href("/workers"),
        is_scoped=not scope.is_any,
    )
    return render(request, "workers/list.html", page)


async def _rows(request: Request, scope: Filters, now: int) -> list[WorkerRow]:
    rows = sorted(await list_workers(services(request).store, since=now - SINCE), key=lambda row: (ORDER[row.state], _natural(row.name)))
    return [
        row
        for row in rows
        if (not scope.environment or row.environment == scope.environment)
        and (not scope.app or row.app == scope.app)
        and (not scope.engine or scope.engine in row.agent.engines)
    ]


def _natural(name: str) -> list[tuple[int, str]]:
    """host-9 stands before host-10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _summary(lines: tuple[WorkerLine, ...]) -> str:
    connected = [line for line in lines if line.state == "connected"]
    held, capacity = sum(line.held for line in connected), sum(line.capacity or 0 for line in connected)
    silent = sum(1 for line in lines if line.state == "silent")
    said = f"{number(len(connected))} connected, running {number(held)} of {number(capacity)}"
    return f"{said}; {number(silent)} silent" if silent else said


def line(row: WorkerRow) -> WorkerLine:
    """A row of the store as a row of the page."""
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
    """What an operator should know about a worker, one sentence each."""
    agent = row.agent
    found = []
    if row.processes > 1:
        found.append(f"{number(row.processes)} connected processes share this name, so their tasks cannot be told apart.")
    if agent.dropped:
        found.append(f"Its spool was full: {number(agent.dropped)} events were dropped.")
    if agent.seal_key and agent.app_seal_key and agent.seal_key != agent.app_seal_key:
        found.append("Seals with another key than its app: what it sealed can be retried only by agents that know that key.")
    if abs(agent.clock_skew_us) > SKEW:
        found.append(f"Its clock is {duration(abs(agent.clock_skew_us))} {'behind' if agent.clock_skew_us > 0 else 'ahead'}.")
    if agent.faults:
        found.append(f"Its agent met {number(agent.faults)} faults of its own; the application was not affected.")
    if agent.spool_bytes > 1_000_000:
        found.append(f"{size(agent.spool_bytes)} of events wait to be sent.")
    if agent.allow == "read":
        found.append("Its owner allows no commands.")
    return (*found, *agent.worker_notes, *agent.notes)


async def list_json(request: Request) -> Response:
    """GET /workers.json."""
    rows = await _rows(request, scope_of(request), clock.now())
    return export.to_json({"workers": [export.plain(line(row)) for row in rows]})


async def list_csv(request: Request) -> Response:
    """GET /workers.csv."""
    rows = [line(row) for row in await _rows(request, scope_of(request), clock.now())]
    columns = tuple(name for name in WorkerLine.__dataclass_fields__ if not name.endswith("href"))
    return await export.to_csv(request, "workers", columns, export.each(rows))
