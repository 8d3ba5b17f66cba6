# SPDX-License-Identifier: AGPL-3.0-or-later
"""Workers: one row for each worker name and environment of an app.

Which processes make a row is decided from a few plain columns of all of them; everything else is read for the rows of one page alone, so
that an app with thousands of processes costs the others little.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from z4j.rules.worker_succession import replaced
from z4j.store.fleet import agents
from z4j.store.fleet.agents import AgentRow
from z4j.store.sqlite.db import Store

State = Literal["connected", "left", "silent"]
ORDER: Final = {"connected": 0, "silent": 1, "left": 2}


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker by its name. `state`: connected; left (it said goodbye); silent (it went without a word)."""

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
    """Some workers, and numbers about all that match. `last` is the place to go on from, None on the last page."""

    rows: list[WorkerRow]
    last: Position | None
    connected: int
    silent: int
    held: int
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
    """The workers seen since then, or those of one name: connected ones first, then those that went silent, by name, app and environment.

    Those that are gone and whose place another has taken are left out, unless they are asked for by name.
    """
    return await _rows(store, await _known(store, since, name))


async def page_of_workers(
    store: Store, *, since: int = 0, app: str = "", environment: str = "", engine: str = "", after: Position | None = None, limit: int = 100
) -> WorkerPage:  # fmt: skip
    """The same, some at a time; "" is any."""
    found = [
        of for of in await _known(store, since)
        if app in ("", of.process.app) and environment in ("", of.process.environment)
        and (not engine or engine in json.loads(of.process.engines))
    ]  # fmt: skip
    connected = [of.process for of in found if of.place.state == "connected"]
    shown = [of for of in found if after is None or sort_key(of.place) > sort_key(after)]
    return WorkerPage(
        rows=await _rows(store, shown[:limit]),
        last=shown[limit - 1].place if len(shown) > limit else None,
        connected=len(connected),
        silent=sum(1 for of in found if of.place.state == "silent"),
        held=sum(of.running for of in connected),
        capacity=sum(of.concurrency or 0 for of in connected),
    )


def sort_key(place: Position) -> tuple[Any, ...]:
    """Connected ones first, then by name: host-9 stands before host-10."""
    parts = [(int(part), "") if part.isdecimal() and len(part) < 19 else (-1, part) for part in re.split(r"(\d+)", place.name)]
    return ORDER.get(place.state, 3), parts, place.app, place.environment


async def _known(store: Store, since: int, name: str | None = None) -> list[_Known]:
    newest: dict[tuple[int, str, str], _Process] = {}
    connected: dict[tuple[int, str, str], int] = {}
    for row in await store.fetch_all(agents.SQL["list_processes"], {"since": since, "worker": name}):
        of = _Process(*row)
        if of.role != "worker":
            continue
        key = (of.app_id, of.environment, of.worker)
        connected[key] = connected.get(key, 0) + (of.left_at is None)
        if key not in newest or _rank(of) > _rank(newest[key]):
            newest[key] = of
    others = replaced(
        [
            agents.worker_session(of.app_id, of.environment, of.seat, of.began_at, of.seen_at, of.left_at, of.left_reason)
            for of in newest.values()
        ]
    )
    found = [
        _Known(Position(_state(of), of.worker, of.app, of.environment), of, connected[key])
        for position, (key, of) in enumerate(newest.items())
        if position not in others
    ]
    return sorted(found, key=lambda of: sort_key(of.place))


async def _rows(store: Store, known: list[_Known]) -> list[WorkerRow]:
    read = {of.id: of for of in await agents.list_agents(store, ids=[of.process.id for of in known])}
    return [
        WorkerRow(of.place.name, of.place.app, of.place.environment, _state(of.process), read[of.process.id], of.processes)
        for of in known
        if of.process.id in read
    ]


def _rank(of: _Process) -> tuple[bool, int, int]:
    return of.left_at is None, of.connected_at, of.id


def _state(of: _Process) -> State:
    if of.left_at is None:
        return "connected"
    return "left" if of.is_orderly else "silent"
