# SPDX-License-Identifier: AGPL-3.0-or-later
"""Writes a week of the company into a database, through the server's own ingest: once for all tests, each of which gets a copy."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from tests.incidents.agents import Process
from tests.incidents.simulation import Simulation
from tests.incidents.traffic import APPS, DAY, HOUR, MINUTE, SECOND
from z4j.agents.ingest import apply_batch
from z4j.store.access import sessions, users
from z4j.store.fleet import agents, apps
from z4j.store.sqlite.db import Connection, Store
from z4j.store.sqlite.migrate import migrate
from z4j.web.auth.authentication import hash_secret
from z4j.web.pages.settings.connection_strings import connect_app
from z4j.wire.frames import Discovery, Heartbeat, Hello, decode_frame
from z4j_agent import wire

T = TypeVar("T")
BRIEF_UNTIL = 2 * HOUR
"""So long before the end tasks have all their records, and agents report."""
STEP = HOUR


class StoreSink:
    """Takes what agents send to the functions that the gateway calls, in one transaction for each app and step."""

    def __init__(self, ids: dict[str, int]) -> None:
        self.ids = ids
        self.records: dict[str, list[bytes]] = {app: [] for app in ids}
        self.frames: list[tuple[Process, int, dict[str, Any]]] = []
        self.seen: set[str] = set()
        self.tasks = 0

    def frame(self, process: Process, frame: dict[str, Any]) -> None:
        self.frames.append((process, frame.get("at", 0), frame))

    def record(self, process: Process, record: list[Any]) -> None:
        if process.boot not in self.seen and record[0] != "origin":
            self.record(process, process.origin(0))
        self.seen.add(process.boot)
        self.records[process.app.name].append(wire.encode_record(record))

    def write(self, db: Connection, at: int) -> None:
        for app, records in self.records.items():
            if records:
                done = apply_batch(db, self.ids[app], b"".join(records), at)
                assert not done.refused, done.refused
                self.tasks += done.tasks
                records.clear()
        for process, told_at, frame in self.frames:
            match decode_frame(json.dumps(frame)):
                case Hello() as hello:
                    agents.record_hello(db, self.ids[process.app.name], hello, told_at, 0)
                case Discovery() as discovery:
                    agents.record_discovery(db, self.ids[process.app.name], process.boot, discovery, at)
                case Heartbeat() as beat:
                    agents.record_heartbeat(db, self.ids[process.app.name], process.boot, beat, told_at)
        self.frames.clear()


@dataclass
class Week:
    """A database with a week of the company, and the company at its end."""

    folder: Path
    simulation: Simulation
    urls: dict[str, str]
    link: str
    """The secret of a login link."""
    tasks: int


async def write_week(folder: Path, start: int, *, days: int = 7) -> Week:
    """Fills the folder of a server with the days before `start` (microseconds UTC)."""
    migrate(folder / "z4j.db")
    store = Store(folder / "z4j.db", readers=1)
    await store.start()
    try:
        link = secrets.token_urlsafe(24)
        await store.write(partial(_add_user, at=start - days * DAY, link=link, until=start + DAY))
        urls = {app.name: (await connect_app(store, app.name, "127.0.0.1:1", "ada")).url for app in APPS}
        simulation = Simulation(start, start - days * DAY)
        sink = StoreSink({app.name: app.id for app in await apps.list_apps(store)})
        simulation.is_brief = True
        for until in range(start - days * DAY + STEP, start - BRIEF_UNTIL + 1, STEP):
            simulation.advance(until, sink)
            await store.write(partial(sink.write, at=until))
        simulation.is_brief = False
        await live(simulation, sink, store, start)
        return Week(folder, simulation, urls, link, sink.tasks)
    finally:
        await store.close()


async def live(simulation: Simulation, sink: StoreSink, store: Store, until: int, *, step: int = MINUTE) -> None:
    """Goes on with every record and with heartbeats."""
    if not simulation.has_connected:
        simulation.has_connected = True
        for process in simulation.processes:
            simulation.connect(sink, process)
    while simulation.now < until:
        simulation.advance(min(simulation.now + step, until), sink)
        simulation.beat(sink)
        await store.write(partial(sink.write, at=simulation.now))


def _add_user(db: Connection, at: int, link: str, until: int) -> None:
    users.add_user(db, "ada", "", "admin", at)
    ada = users.find_user(db, "ada")
    assert ada is not None
    sessions.add_link(db, hash_secret(link), "login", until, ada.id)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs it in a thread of its own: the browser has an event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def start_of_tests(now: int) -> int:
    """Ten past the hour: every run begins with the same share of an hour behind it."""
    start = now // HOUR * HOUR + 10 * MINUTE
    return start if start <= now - SECOND else start - HOUR
