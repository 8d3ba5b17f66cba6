# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads workers: one row for each worker name and environment of an app.

Which processes make a row is decided from a few plain columns of all of them; everything else is read for the rows of one page alone, so
that an app with thousands of processes costs the others little.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from z4j.rules.worker_succession import replaced
from z4j.store.fleet import agents
from z4j.store.fleet.agents import AgentRow
from z4j.store.sqlite.db import Row, Store

State = Literal["connected", "left", "silent"]
ORDER: Final = {"connected": 0, "silent": 1, "left": 2}


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker by its name. `state`: connected; left (it reported its shutdown), silent (it disconnected without reporting a shutdown)."""

    name: str
    app: str
    environment: str
    state: State
    agent: AgentRow
    """Its newest process that is connected, else its newest."""
    processes: int
    """How many processes of this name are connected; more than one means two workers share a name."""


class Position(NamedTuple):
    """A place in the order of workers."""

    state: str
    name: str
    app: str
    environment: str


@dataclass(frozen=True, slots=True)
class WorkerPage:
    """Some workers, and numbers about all that match. `last` is the position to continue from, None on the last page."""

    rows: list[WorkerRow]
    last: Position | None
    connected: int
    silent: int
    running: int
    capacity: int


class _Process(NamedTuple):
    id: int
    app_id: int
    app: str
    environment: str
    worker: str
    role: str
    seat: str
    began_at: int
    connected_at: int
    seen_at: int
    left_at: int | None
    left_reason: str
    is_orderly: int
    concurrency: int | None
    running: int
    engines: str


class _Known(NamedTuple):
    """A worker before the rest of it is read."""

    place: Position
    process: _Process
    processes: int


async def list_workers(store: Store, *, since: int = 0, name: str | None = None) -> list[WorkerRow]:
    """Lists the workers seen since `since` (microseconds UTC), or those of one name: connected ones first, then silent ones, by name, app
    and environment.

    Workers that ended and have a successor are left out, unless they are requested by name.
    """
    return await _rows(store, await _known(store, since, name))


async def page_of_workers(
    store: Store, *, since: int = 0, app: str = "", environment: str = "", engine: str = "", after: Position | None = None, limit: int = 100
) -> WorkerPage:  # fmt: skip
    """Returns one page of the workers of an app, environment and engine; "" matches any."""
    matching = [
        worker for worker in await _known(store, since)
        if app in ("", worker.process.app) and environment in ("", worker.process.environment)
        and (not engine or engine in json.loads(worker.process.engines))
    ]  # fmt: skip
    connected = [worker.process for worker in matching if worker.place.state == "connected"]
    shown = [worker for worker in matching if after is None or sort_key(worker.place) > sort_key(after)]
    return WorkerPage(
        rows=await _rows(store, shown[:limit]),
        last=shown[limit - 1].place if len(shown) > limit else None,
        connected=len(connected),
        silent=sum(1 for worker in matching if worker.place.state == "silent"),
        running=sum(worker.running for worker in connected),
        capacity=sum(worker.concurrency or 0 for worker in connected),
    )


def sort_key(place: Position) -> Row:
    """Returns the sort key of a position: connected workers first, then by name, with host-9 before host-10."""
    parts = [(int(part), "") if part.isdecimal() and len(part) < 19 else (-1, part) for part in re.split(r"(\d+)", place.name)]
    return ORDER.get(place.state, 3), parts, place.app, place.environment


async def _known(store: Store, since: int, name: str | None = None) -> list[_Known]:
    newest: dict[tuple[int, str, str], _Process] = {}
    connected: dict[tuple[int, str, str], int] = {}
    for row in await store.fetch_all(agents.SQL["list_processes"], {"since": since, "worker": name}):
        process = _Process(*row)
        if process.role != "worker":
            continue
        key = (process.app_id, process.environment, process.worker)
        connected[key] = connected.get(key, 0) + (process.left_at is None)
        if key not in newest or _rank(process) > _rank(newest[key]):
            newest[key] = process
    others = replaced(
        [
            agents.worker_session(
                process.app_id, process.environment, process.seat, process.began_at, process.seen_at, process.left_at, process.left_reason
            )
            for process in newest.values()
        ]
    )
    workers = [
        _Known(Position(_state(process), process.worker, process.app, process.environment), process, connected[key])
        for position, (key, process) in enumerate(newest.items())
        if position not in others
    ]
    return sorted(workers, key=lambda process: sort_key(process.place))


async def _rows(store: Store, known: list[_Known]) -> list[WorkerRow]:
    read = {worker.id: worker for worker in await agents.list_agents(store, ids=[worker.process.id for worker in known])}
    return [
        WorkerRow(
            worker.place.name, worker.place.app, worker.place.environment, _state(worker.process), read[worker.process.id], worker.processes
        )
        for worker in known
        if worker.process.id in read
    ]


def _rank(process: _Process) -> tuple[bool, int, int]:
    return process.left_at is None, process.connected_at, process.id


def _state(process: _Process) -> State:
    if process.left_at is None:
        return "connected"
    return "left" if process.is_orderly else "silent"
