# SPDX-License-Identifier: AGPL-3.0-or-later
"""Fills a new demo: users, apps and connection strings, the month that the history process writes, and actions of users in it.

The past goes through the same ingest as the batches of agents. A process of the applications writes it, so that records are made on one
core while they are stored on another.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import secrets
import time
from functools import partial
from pathlib import Path
from typing import IO, Final

from z4j import clock, files
from z4j.agents.ingest import apply_batch
from z4j.clock import DAY_US
from z4j.demo.past_actions import USERS, VISITOR, write_past
from z4j.demo.processes import Processes
from z4j.exceptions import StoreError
from z4j.store.access import sessions, users
from z4j.store.access.audit import AuditLog
from z4j.store.fleet import apps
from z4j.store.sqlite.db import Connection, Store
from z4j.web.auth.authentication import hash_secret
from z4j.web.pages.settings.connection_strings import connect_app

APPS: Final = ("shop", "documents", "media", "warehouse")
DAYS: Final = 29
LINK_US: Final = 24 * 3_600_000_000


@dataclasses.dataclass(frozen=True, slots=True)
class Story:
    """What a demo is seeded with. The same seed gives the same tasks, whenever it is."""

    tasks: int = 60_000
    seed: int = 7
    days: int = DAYS


@dataclasses.dataclass(frozen=True, slots=True)
class Seeded:
    """What a demo was seeded with, and how long it took."""

    tasks: int
    seconds: float
    link: str


async def seed_demo(folder: Path, host: str, story: Story, link: str = "") -> Seeded:
    """Fills the new database in `folder`. `host` is the address of the server; `link` the secret of the login link, a new one if "".

    Raises StoreError if the past was not written whole.
    """
    began, now = time.monotonic(), clock.now()
    store = Store(folder / "z4j.db", readers=1)
    await store.start()
    processes = Processes(folder)
    log: AuditLog | None = None
    try:
        log = AuditLog(folder)
        link = link or secrets.token_urlsafe(24)
        first = now - (story.days + 1) * DAY_US
        await store.write(partial(_add_users, at=first, link=link, until=now + LINK_US))
        urls = {app: (await connect_app(store, app, host, VISITOR)).url for app in APPS}
        brief = {"now": now, "connections": urls, **dataclasses.asdict(story)}
        files.write_whole(folder / "demo.json", json.dumps(brief))
        tasks = await _ingest(store, processes)
        await write_past(store, log, now)
    finally:
        await asyncio.to_thread(processes.stop)
        if log is not None:
            await asyncio.to_thread(log.memory.close)
        await store.close()
    return Seeded(tasks, time.monotonic() - began, link)


def _add_users(db: Connection, at: int, link: str, until: int) -> None:
    """Users without a password that anybody knows: the visitor signs in by the link."""
    for name, role in USERS.items():
        users.add_user(db, name, "", role, at)
    visitor = users.find_user(db, VISITOR)
    sessions.add_link(db, hash_secret(link), "login", until, visitor.id if visitor else None)


async def _ingest(store: Store, processes: Processes) -> int:
    """Stores what the history process writes. Returns the number of tasks."""
    ids = {app.name: app.id for app in await apps.list_apps(store)}
    process = processes.history()
    pipe, tasks = process.stdout, 0
    assert pipe is not None
    while (batch := await asyncio.to_thread(_read_batch, pipe)) is not None:
        app, at, payload = batch
        done = await store.write(partial(apply_batch, app_id=ids[app], payload=payload, at=at))
        if done.refused:
            raise StoreError(f"The demo's past was refused: {done.refused}. The demo was not started.")
        tasks += done.tasks
    if code := await asyncio.to_thread(process.wait):
        raise StoreError(
            f"The process that writes the demo's past ended with {code}. The demo was not started.", f"See {processes.folder}/history.log."
        )
    return tasks


def _read_batch(pipe: IO[bytes]) -> tuple[str, int, bytes] | None:
    """Returns app, time and records of the next batch, None at the end."""
    head = pipe.readline()
    if not head:
        return None
    app, at, size = head.decode().split()
    return app, int(at), pipe.read(int(size))
