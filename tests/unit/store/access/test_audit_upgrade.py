# SPDX-License-Identifier: AGPL-3.0-or-later
"""A log from before checkpoints were numbered and chained stays verifiable, and goes on as a chain."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.database import T
from z4j.rules.audit.checkpoints import Checkpoint, link, signed_text
from z4j.rules.audit.entries import GENESIS, AuditRow, add_to_digest, sign
from z4j.store.access.audit import AuditLog
from z4j.store.access.audit_checkpoints import list_checkpoints
from z4j.store.sqlite import migrate
from z4j.store.sqlite.db import Store

pytestmark = pytest.mark.anyio
LAST_BEFORE = 6


def old_log(folder: Path, log: AuditLog, rows: int, heads: tuple[int, ...]) -> None:
    """The database as version 6 left it: rows with MACs, and heads that name neither a number nor the one before."""
    with closing(sqlite3.connect(folder / "z4j.db", isolation_level=None)) as db:
        for number, text in migrate.migrations():
            if number <= LAST_BEFORE:
                db.executescript(f"BEGIN;\n{text}\nPRAGMA user_version = {number};\nCOMMIT;")
        mac, digest = GENESIS, GENESIS
        for seq in range(1, rows + 1):
            row = AuditRow(seq, T + seq, "ada", "admin", "retry_task", f"celery:{seq}", "done", "{}", "::1", log.key_id, b"")
            mac = sign((folder / "audit.key").read_bytes(), mac, row)
            whole = AuditRow(seq, T + seq, "ada", "admin", "retry_task", f"celery:{seq}", "done", "{}", "::1", log.key_id, mac)
            digest = add_to_digest(digest, whole)
            marks = ", ".join("?" * 11)
            db.execute(f"INSERT INTO audit VALUES ({marks})", [getattr(whole, name) for name in AuditRow.__slots__])
            if seq in heads:
                point = Checkpoint(0, seq, T + seq, digest, b"", log.signer.key_id, b"")
                signature = log.signer._key.sign(signed_text(point)).signature
                db.execute("INSERT INTO audit_head VALUES (?, ?, ?, ?, ?)", (seq, T + seq, digest, log.signer.key_id, signature))


@pytest.mark.parametrize("heads", [(), (3,), (3, 5, 8)])
async def test_an_older_log_goes_on_as_a_chain(tmp_path: Path, heads: tuple[int, ...]) -> None:
    log = AuditLog(tmp_path)
    old_log(tmp_path, log, 9, heads)
    migrate.migrate(tmp_path / "z4j.db")
    store = Store(tmp_path / "z4j.db")
    await store.start()
    try:
        assert (await log.verify(store)).is_intact
        await log.start(store, T + 50)
        assert log.alarm is None
        points = await list_checkpoints(store)
        assert [(of.number, of.seq, of.is_chained) for of in points] == [
            *((number, seq, False) for number, seq in enumerate(heads, 1)), (len(heads) + 1, 9, True),
        ]  # fmt: skip
        assert points[-1].previous == link(points[-2] if heads else None)
        verdict = await log.verify(store)
        assert (verdict.is_intact, verdict.heads, verdict.covered) == (True, len(heads) + 1, 9)
        for point in points:
            with closing(sqlite3.connect(tmp_path / "z4j.db", isolation_level=None)) as db:
                db.execute("DELETE FROM audit_head WHERE number = ?", (point.number,))
                assert not (await log.verify(store)).is_intact, f"checkpoint {point.number} is gone"
                values = [getattr(point, name) for name in Checkpoint.__slots__]
                db.execute(f"INSERT INTO audit_head ({', '.join(Checkpoint.__slots__)}) VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        assert (await log.verify(store)).is_intact
    finally:
        await store.close()
