# SPDX-License-Identifier: AGPL-3.0-or-later
"""Marks a release manually, for applications whose agents report none. It is shown on every chart and recorded in the audit log."""

from __future__ import annotations

from typing import Final

from z4j.exceptions import BadInput, NotFound
from z4j.live import Live
from z4j.operations.audited_change import change, check_role
from z4j.operations.commands import Actor
from z4j.store.access.audit import AuditLog
from z4j.store.fleet import apps, releases
from z4j.store.names import names
from z4j.store.sqlite.db import Connection, Store

ACTION: Final = "mark_release"
LONGEST: Final = 200


async def mark_release(
    store: Store, log: AuditLog, live: Live, actor: Actor, *, release: str, app: str, environment: str, at: int
) -> None:  # fmt: skip
    """Records that a release of an app was first seen at a time (microseconds UTC); an earlier time is kept.

    Raises NotAllowed, NotFound or BadInput.
    """
    await check_role(store, log, actor, ACTION, f"app:{app[:LONGEST]}")
    if not release or not release.isprintable() or len(release) > LONGEST or len(environment) > LONGEST:
        raise BadInput(f"The release name must have 1 to {LONGEST} printable characters. No changes were made.")
    app_id = next((row.id for row in await apps.list_apps(store) if row.name == app), None)
    if app_id is None:
        raise NotFound(f"Unknown app “{app[:LONGEST]}”. No changes were made.")

    def mark(db: Connection) -> bool:
        environment_id = names.intern(db, "environment", environment) if environment else 0
        releases.record_sight(db, app_id, environment_id, names.intern(db, "release", release), at)
        return True

    await change(store, log, actor, ACTION, lambda _: f"app:{app}", {"release": release, "environment": environment}, mark)
    live.changed(("changes",))
