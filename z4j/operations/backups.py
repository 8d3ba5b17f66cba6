# SPDX-License-Identifier: AGPL-3.0-or-later
"""Writes a verified backup: the row of the audit log first, with its checkpoint, so that the copy ends with it and verifies as a copy from
then."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from z4j import clock
from z4j.exceptions import StoreError
from z4j.store.access import audit_checkpoints
from z4j.store.access.audit import AuditLog
from z4j.store.sqlite.db import Store
from z4j.store.sqlite.verified_copy import Contents

ATTEMPTS: Final = 5
ACTION: Final = "backup"


async def write_backup(store: Store, log: AuditLog, target: Path, actor: str, role: str) -> Contents:
    """Copies the database to `target`, while it is in use, and restores the copy into a scratch file to verify it. Returns what the
    backup contains. Raises StoreError; then there is no `target`, and the failure is in the audit log."""
    if await asyncio.to_thread(target.exists):
        raise StoreError(f"{target} already exists. Nothing was written.", "Choose another file name.")
    what = f"file:{target.name}"
    try:
        for attempt in range(ATTEMPTS):
            await log.note(store, at=clock.now(), actor=actor, role=role, action=ACTION, target=what)
            contents = await store.backup(target)
            if attempt == ATTEMPTS - 1 or await asyncio.to_thread(audit_checkpoints.ends_with_backup, target):
                break  # the last copy is kept as it is: it can be restored, too
            await asyncio.to_thread(target.unlink)  # another row came between the two, which takes milliseconds
    except StoreError as error:
        await log.note(
            store, at=clock.now(), actor=actor, role=role, action=ACTION, target=what, outcome="failed", detail={"why": error.message}
        )
        raise
    return contents
