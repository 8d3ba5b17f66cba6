# SPDX-License-Identifier: AGPL-3.0-or-later
"""Gives commands direct access to the data folder, with or without a running server: SQLite serializes the writes."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from z4j import clock
from z4j.appliance.data_folder import prepare_data, shared_use
from z4j.exceptions import BadInput, StoreError
from z4j.settings import Settings
from z4j.store.access.audit import AuditLog
from z4j.store.sqlite import migrate
from z4j.store.sqlite.db import Store
from z4j.web.auth.authentication import Auth


@dataclass(frozen=True, slots=True)
class Offline:
    """The parts a command needs."""

    store: Store
    audit: AuditLog
    auth: Auth

    async def record(self, action: str, target: str, *, outcome: str = "done", **detail: Any) -> None:
        """Writes an audit row for an action on the command line; the actor is the operating system's user."""
        actor = f"{getpass.getuser()} (command line)"
        await self.audit.note(
            self.store, at=clock.now(), actor=actor, role="admin", action=action, target=target, outcome=outcome, detail=detail
        )


@contextlib.asynccontextmanager
async def offline(settings: Settings, *, creates: bool = True) -> AsyncIterator[Offline]:
    """Opens the data folder. `creates`: a missing database is created. Raises StoreError."""
    if creates:
        prepare_data(settings.data)
        if not settings.database.exists():
            migrate.migrate(settings.database)
    elif not settings.database.exists():
        raise StoreError(f"No database in {settings.data}.", "Choose the data folder with --data.")
    with shared_use(settings.data):
        async with _opened(settings) as parts:
            yield parts


@contextlib.asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Offline]:
    store = Store(settings.database, readers=1)
    await store.start()
    log: AuditLog | None = None
    try:
        log = AuditLog(settings.data)
        yield Offline(store, log, Auth(store, log, settings.data))
    finally:
        if log is not None:
            await asyncio.to_thread(log.memory.close)
        await store.close()


def ask_password(*, is_from_stdin: bool) -> str:
    """Returns a password from standard input, or prompts for it twice. Raises BadInput."""
    if is_from_stdin:
        return sys.stdin.readline().rstrip("\n")
    if not os.isatty(0):
        raise BadInput("The password cannot be requested without a terminal.", "Use --password-stdin.")
    first = getpass.getpass("Password: ")
    if getpass.getpass("Password again: ") != first:
        raise BadInput("The two passwords differ. No changes were made.")
    return first
