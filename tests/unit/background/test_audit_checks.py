# SPDX-License-Identifier: AGPL-3.0-or-later
"""The audit log is signed and checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.database import SECOND, T, database
from tests.unit.background.workers import Heard
from z4j.background.audit_checks import AuditChecks
from z4j.store.access.audit import AuditLog
from z4j.store.sqlite.db import Store

pytestmark = pytest.mark.anyio


async def record(log: AuditLog, store: Store) -> None:
    await log.record(store, at=T, actor="ada", role="admin", action="setup", target="appliance")


async def heads(store: Store) -> int:
    [(count,)] = await store.fetch_all("SELECT count(*) FROM audit_head")
    return int(count)


async def test_rows_of_the_audit_log_are_signed_once(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        log, heard = AuditLog(tmp_path), Heard()
        duty = AuditChecks(store, heard, log)
        await duty.sign_head(T)
        assert await heads(store) == 0, "an empty log has no head"
        await record(log, store)
        for _ in range(3):
            await duty.sign_head(T + SECOND)
        assert await heads(store) == 1
        assert heard == []


async def test_a_damaged_audit_log_is_announced_once(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        log, heard = AuditLog(tmp_path), Heard()
        duty = AuditChecks(store, heard, log)
        await record(log, store)
        await duty.sign_head(T)
        await duty.check_audit(T)
        assert log.alarm is None
        await store.write(lambda db: db.execute("UPDATE audit SET actor = 'eve'").rowcount)
        await duty.check_audit(T + 2 * 86_400 * SECOND)
        assert log.alarm is not None
        for _ in range(3):
            await duty.sign_head(T + 2 * 86_400 * SECOND)
        assert heard == ["strip"]


async def test_without_an_audit_log_there_is_nothing_to_sign(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        duty = AuditChecks(store, Heard())
        await duty.sign_head(T)
        await duty.check_audit(T)
        assert await heads(store) == 0
