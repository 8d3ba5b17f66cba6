# SPDX-License-Identifier: AGPL-3.0-or-later
"""A database of every schema that ever landed is migrated with its rows, and a migration that is killed leaves a whole schema."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.killed import kill_at_steps
from z4j.rules.audit.checkpoints import Checkpoint, link, signed_text
from z4j.rules.audit.entries import GENESIS, AuditRow, add_to_digest, sign
from z4j.rules.rollups import ENDS
from z4j.rules.tasks.states import STATE_NAMES, STATES
from z4j.store.access.audit import AuditLog
from z4j.store.sqlite import migrate
from z4j.store.sqlite.db import Store

VERSIONS = [number for number, _ in migrate.migrations()]
CHOSEN = {
    "user.role": "admin", "token.kind": "agent", "login_link.purpose": "login", "task_link.kind": "parent", "task_relation.kind": "group",
    "agent.engines": '{"text NUMBER": "5"}',
}  # fmt: skip
"""Values of columns with a CHECK, or that a migration reads."""
SUCCEEDED = STATES["succeeded"]
NUMBERED = 10
"""The first schema whose checkpoints have numbers."""


def build(path: Path, version: int) -> None:
    """The database as a release with this schema left it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
        for number, text in migrate.migrations():
            if number <= version:
                db.executescript(f"BEGIN;\n{text}\nPRAGMA user_version = {number};\nCOMMIT;")
        for table in tables(db):
            if table not in ("audit", "audit_head", "audit_abandoned"):
                for number in (1, 2):
                    fill(db, table, number)
        write_log(db, AuditLog(path.parent), version)


TABLES = """SELECT name FROM sqlite_schema WHERE rootpage > 0 AND type = 'table' AND name NOT LIKE 'sqlite_%'
  AND name NOT LIKE 'search_day_%'"""
"""Not those of the index of words, which SQLite writes."""


def tables(db: sqlite3.Connection) -> list[str]:
    return [row[0] for row in db.execute(TABLES)]


def fill(db: sqlite3.Connection, table: str, number: int) -> None:
    """A row with a value in every column that has no default; numbers are all the same, so that references lead somewhere."""
    row: dict[str, Any] = {}
    for _, name, type_, is_required, default, is_key in db.execute(f"PRAGMA table_info({table})").fetchall():
        if default is not None or not (is_required or is_key):
            continue
        text = CHOSEN.get(f"{table}.{name}", f"{name} NUMBER").replace("NUMBER", str(number))
        row[name] = {
            "INTEGER": SUCCEEDED if (table, name) == ("minute", "state") else number,
            "TEXT": text,
            "BLOB": bytes([number] * 16),
            "REAL": float(number),
        }[type_]
    names = ", ".join(row)
    db.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", list(row.values()))


def write_log(db: sqlite3.Connection, log: AuditLog, version: int) -> None:
    """Five rows with checkpoints in the form of that schema."""
    mac, digest, before = GENESIS, GENESIS, None
    secret = log._keys[log.key_id]
    for seq in range(1, 6):
        bare = AuditRow(seq, seq, "ada", "admin", "setup", "appliance", "done", "{}", "", log.key_id, b"")
        mac = sign(secret, mac, bare)
        row = replace(bare, mac=mac)
        digest = add_to_digest(digest, row)
        db.execute(f"INSERT INTO audit VALUES ({', '.join('?' * 11)})", [getattr(row, name) for name in AuditRow.__slots__])
        if version < 2:
            continue
        is_chained = version >= NUMBERED
        point = Checkpoint(seq if is_chained else 0, seq, seq, digest, link(before) if is_chained else b"", log.signer.key_id, b"")
        signature = log.signer._key.sign(signed_text(point)).signature
        before = Checkpoint(point.number, seq, seq, digest, point.previous, point.key_id, signature)
        columns = ["seq", "at", "digest", "key_id", "signature", *(["number", "previous"] if is_chained else [])]
        db.execute(
            f"INSERT INTO audit_head ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
            [getattr(before, name) for name in columns],
        )
    log.memory.create()
    log.memory.close()


def contents(path: Path) -> dict[str, list[dict[str, Any]]]:
    found = {}
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        for (table,) in db.execute(TABLES).fetchall():
            found[table] = [dict(row) for row in db.execute(f"SELECT * FROM {table} ORDER BY 1, 2")]
    return found


LEDGER_BEGINS = ("rollup_horizon", 3)
"""The row that says from which hour on the ledger of queues is counted."""
ADDED = {"rolled_until"}
"""Settings that migrations add."""
REPLACED = {"minute": "rollup", "minute_total": "rollup"}


def ends(minutes: list[dict[str, Any]]) -> dict[tuple[int, str], int]:
    """Ends per minute and state, as earlier schemas stored them."""
    found: Counter[tuple[int, str]] = Counter()
    for row in minutes:
        found[row["minute"] * 60_000_000, STATE_NAMES[row["state"]]] += row["tasks"]
    return +found


def ends_in_rollups(after: dict[str, list[dict[str, Any]]], *, is_total: int) -> dict[tuple[int, str], int]:
    series = {row["id"] for row in after["series"] if row["is_total"] == is_total}
    found: Counter[tuple[int, str]] = Counter()
    for row in after["rollup"]:
        for state in ENDS:
            if row["step"] == 0 and row["series_id"] in series:
                found[row["at"], state] += row[state]
    return +found


def check_rows(before: dict[str, list[dict[str, Any]]], after: dict[str, list[dict[str, Any]]]) -> None:
    for table, rows in before.items():
        if table in REPLACED and table not in after:
            assert [ends_in_rollups(after, is_total=is_total) for is_total in (0, 1)] == [ends(before["minute"])] * 2
            continue
        kept = [row for row in after[table] if row.get("key") not in ADDED and (table, row.get("step")) != LEDGER_BEGINS]
        assert len(kept) == len(rows), table
        for old, new in zip(rows, kept, strict=True):
            changed = {f"{table}.{name}" for name in old.keys() & new.keys() if old[name] != new[name]}
            assert changed == set()


@pytest.mark.anyio
@pytest.mark.parametrize("version", VERSIONS)
async def test_every_schema_that_ever_landed_is_migrated_with_its_rows(tmp_path: Path, version: int) -> None:
    path = tmp_path / "z4j.db"
    build(path, version)
    before = contents(path)
    assert migrate.migrate(path) == len([number for number in VERSIONS if number > version])
    check_rows(before, contents(path))
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA user_version").fetchone() == (migrate.newest(),)
    copies = migrate.snapshots(path)
    assert [migrate.version(copy) for copy in copies] == ([version] if version < migrate.newest() else [])
    for copy in copies:
        assert contents(copy) == before
    store = Store(path)
    await store.start()
    try:
        log = AuditLog(tmp_path)
        await log.start(store, 99)
        verdict = await log.verify(store)
        assert (
            verdict.rows >= 5,
            verdict.why.replace("the file audit.witnesses is missing or empty, and the log does not end with a backup", ""),
        ) == (True, "")
    finally:
        await store.close()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-2]])
def test_a_killed_migration_leaves_a_whole_schema_and_its_copy(tmp_path: Path, version: int, every: int) -> None:
    base = tmp_path / "base"
    base.mkdir(mode=0o700)
    build(base / "z4j.db", version)
    before = contents(base / "z4j.db")
    seen = set()
    for copy in kill_at_steps(base, tmp_path / "killed", "migrate", every=every):
        path = copy / "z4j.db"
        found = migrate.version(path)
        seen.add(found)
        assert found in VERSIONS
        check_rows(before, contents(path))
        copies = migrate.snapshots(path)
        assert all(contents(each) == before for each in copies)
        assert copies or found == version, "nothing is changed before the copy is complete"
        migrate.migrate(path)
        check_rows(before, contents(path))
        assert migrate.version(path) == migrate.newest()
    assert len(seen) > len([number for number in VERSIONS if number > version]) / (2 * every)
    shutil.rmtree(tmp_path / "killed")
