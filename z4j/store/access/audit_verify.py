# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads the whole audit log for `rules/audit/verification.py`, with everything that is remembered of it outside the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Final

from z4j.rules.audit.checkpoints import Checkpoint
from z4j.rules.audit.entries import ANY, AuditRow, Head
from z4j.rules.audit.verification import Verdict, Walk
from z4j.store.access.audit_checkpoints import SQL as POINTS
from z4j.store.access.audit_checkpoints import list_checkpoints
from z4j.store.access.audit_head_files import AuditMemory
from z4j.store.access.audit_restores import find_restore, list_abandoned
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Store

SQL = sql.load("access/audit")
SLICE: Final = 500
BEGIN: Final = -(1 << 62)
"""Before every row: one with a number below 1 must not be passed over."""


async def verify_log(
    store: Store,
    memory: AuditMemory,
    keys: dict[str, bytes],
    why_not_ours: Callable[[Checkpoint], str],
    known: Head | None = None,
    *,
    pause_s: float = 0,
) -> Verdict:
    """Walks the whole log, off the event loop and with a pause between slices."""
    await asyncio.to_thread(memory.flush)
    remembered = memory.remembered()
    points = await list_checkpoints(store)
    heads = [*remembered.heads, *([known] if known is not None else [])]
    walk = Walk(keys, points, why_not_ours, heads, abandoned=await list_abandoned(store))
    async for rows in _slices(store):  # last: a running server continues to write, and what is remembered must not be ahead of rows
        if not await asyncio.to_thread(walk.feed, rows):
            break
        await asyncio.sleep(pause_s)
    verdict = walk.end()
    if not verdict.is_intact:
        return verdict
    if remembered.damage:
        return replace(verdict, broken_at=verdict.rows + 1, why=remembered.damage.rstrip("."), copied_at=0)
    if remembered.is_missing and not verdict.copied_at and any(point.is_chained for point in points):
        why = "the file audit.witnesses is missing or empty, and the log does not end with a backup"
        return replace(verdict, broken_at=verdict.rows + 1, why=why)
    return verdict


async def list_missing(store: Store, memory: AuditMemory) -> list[Head]:
    """Lists what is remembered outside the database, is not part of the log, and was not abandoned by a restore."""
    await asyncio.to_thread(memory.flush)
    points = await list_checkpoints(store)
    held = {(number, point.seq, point.digest) for point in points for number in (ANY, point.number)}
    left = [head for head in memory.remembered().heads if (head.number, head.seq, head.mark) not in held]
    missing = [head for head in left if head.number or await store.fetch_one(POINTS["mac_at"], {"seq": head.seq}) != (head.mark,)]
    return [head for head in missing if await find_restore(store, head.seq, head.mark) is None]


async def walk(store: Store) -> AsyncIterator[AuditRow]:
    """Yields all rows of the log, oldest first."""
    async for rows in _slices(store):
        for row in rows:
            yield row


async def _slices(store: Store) -> AsyncIterator[list[AuditRow]]:
    after = BEGIN
    while rows := await store.fetch_all(SQL["walk_audit"], {"after": after, "limit": SLICE}):
        yield [AuditRow(*row) for row in rows]
        after = rows[-1][0]
