# SPDX-License-Identifier: AGPL-3.0-or-later
"""The write-ahead log stays short, and the audit log is signed and checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.database import SECOND, T, database
from tests.unit.background.workers import Heard
from z4j.background.checkpoints import CHECKPOINT_US, Checkpoints
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
        duty = Checkpoints(store, heard, log)
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
        duty = Checkpoints(store, heard, log)
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
        duty = Checkpoints(store, Heard())
        await duty.sign_head(T)
        await duty.check_audit(T)
        assert await heads(store) == 0


async def test_a_short_log_is_copied_twice_a_minute_and_a_long_one_at_once(tmp_path: Path) -> None:
    asked: list[int] = []

    class Counting(Store):
        async def checkpoint(self, least_bytes: int = 0) -> None:
            asked.append(least_bytes)
            await super().checkpoint(least_bytes)

    async with database(tmp_path) as store:
        of = Counting(store.path)
        duty = Checkpoints(of, Heard())
        for at in (T, T + SECOND, T + CHECKPOINT_US - 1, T + CHECKPOINT_US, T + CHECKPOINT_US + 1, T - SECOND):
            await duty.checkpoint(at)
    assert [bytes == 0 for bytes in asked] == [True, False, False, True, False, True], "also after the clock was put back"
    assert len(set(asked)) == 2
