# SPDX-License-Identifier: AGPL-3.0-or-later
"""A backup is exactly the database of one moment, however much is written meanwhile, and is verified before it is called one."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from types import FrameType

import pytest

from tests.support.database import T, database, life, tell
from tests.support.stack import wait_for
from z4j.exceptions import StoreDamaged, StoreError
from z4j.operations.backups import write_backup
from z4j.store.access import audit_checkpoints
from z4j.store.access.audit import AuditLog, list_audit
from z4j.store.sqlite import verified_copy
from z4j.store.sqlite.verified_copy import Contents, read_contents

pytestmark = pytest.mark.anyio


async def test_a_backup_is_verified_while_much_is_written(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        log, is_over = AuditLog(tmp_path), asyncio.Event()

        async def write() -> None:
            number = 0
            while not is_over.is_set():
                number += 1
                await tell(store, *life(f"task {number}", T + number))

        writing = asyncio.create_task(write())
        for number in range(5):
            target = tmp_path / f"copy{number}.db"
            contents = await write_backup(store, log, target, "ada", "admin")
            assert contents == read_contents(target)
            assert contents.audit is not None
            assert contents.audit[0] == number + 1
            assert audit_checkpoints.ends_with_backup(target)
        is_over.set()
        await writing
        assert [path.name for path in tmp_path.glob(".copy*")] == []
        with closing(sqlite3.connect(target)) as db:
            assert db.execute("SELECT count(*) FROM task").fetchone()[0] > 0
            assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)


async def test_an_existing_file_is_left_alone_and_a_failure_is_a_row(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        log, target = AuditLog(tmp_path), tmp_path / "copy.db"
        target.write_text("mine")
        with pytest.raises(StoreError, match="already exists"):
            await write_backup(store, log, target, "ada", "admin")
        with pytest.raises(StoreError, match="already exists"):
            verified_copy.copy_verified(store.path, target)
        assert target.read_text() == "mine"
        assert await list_audit(store) == []
        with pytest.raises(StoreError, match="failed"):
            await write_backup(store, log, tmp_path / "no folder" / "copy.db", "ada", "admin")
        assert [row.outcome for row in await list_audit(store)] == ["failed", "done"]


@pytest.mark.parametrize("change", ["DELETE FROM app", "UPDATE audit SET mac = x'00'", "DROP TABLE totp"])
async def test_a_copy_that_is_not_what_was_copied_is_removed(tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a defect of the disk would change it between the copy and its verification."""
    async with database(tmp_path) as store:
        log, restore = AuditLog(tmp_path), verified_copy.restore_copy

        def spoiled(source: Path, target: Path) -> None:
            with closing(sqlite3.connect(source)) as db:
                db.execute(change)
                db.commit()
            restore(source, target)

        monkeypatch.setattr(verified_copy, "restore_copy", spoiled)
        with pytest.raises(StoreDamaged, match="not usable"):
            await write_backup(store, log, tmp_path / "copy.db", "ada", "admin")
        assert not (tmp_path / "copy.db").exists()


def test_contents_are_compared_by_table_and_by_the_end_of_the_log() -> None:
    one = Contents({"task": 3, "app": 1}, (4, b"x"))
    assert one.difference(one) == ""
    assert "task has 2 rows instead of 3" in one.difference(Contents({"task": 2, "app": 1}, (4, b"x")))
    assert "app has no rows instead of 1" in one.difference(Contents({"task": 3}, (4, b"x")))
    assert "another row" in one.difference(Contents({"task": 3, "app": 1}, (4, b"y")))


async def test_a_backup_ends_with_the_server_that_makes_it(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)"
        await store.write(lambda db: db.execute(f"INSERT INTO setting {fill} SELECT 'key ' || i, hex(randomblob(100)) FROM n"))
        began = time.monotonic()
        await write_backup(store, AuditLog(tmp_path), tmp_path / "whole.db", "ada", "admin")
        whole_s = time.monotonic() - began
        for part in (0.02, 0.2, 0.5):
            making = asyncio.create_task(write_backup(store, AuditLog(tmp_path), tmp_path / "copy.db", "ada", "admin"))
            await asyncio.sleep(whole_s * part)
            making.cancel()
            with pytest.raises(asyncio.CancelledError):
                await making
            wait_for(lambda: threads() == 0, what="the thread ends")
            assert not (tmp_path / "copy.db").exists()
            assert not list(tmp_path.glob(".copy*"))


def threads() -> int:
    """Threads that copy."""
    return sum(is_copying(frame) for frame in sys._current_frames().values())


def is_copying(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code is not verified_copy.copy_verified.__code__:
        frame = frame.f_back
    return frame is not None
