# SPDX-License-Identifier: AGPL-3.0-or-later
"""Compares the audit log of a backup with the log that it replaces, and stores the rows that the restore abandons
(`rules/audit/restores.py`).

An abandoned row is taken from the replaced database itself. If that cannot be read, the two files beside it name the rows. Rows that only
agents or browsers remember are never taken: they may contradict the replaced log already, and a restore must not hide that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from z4j.rules.audit.entries import GENESIS, AuditRow, Head, add_to_digest
from z4j.rules.audit.restores import Abandoned, Mark, marks_of
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Store

SQL = sql.load("access/audit_restores")
AUDIT = sql.load("access/audit")
BEGIN: Final = -(1 << 62)


@dataclass(frozen=True, slots=True)
class Fork:
    """Where two logs part. `seq` is the last common row, `rows` the number of rows after it in the replaced log, `head` its last row by
    its digest. `head` is None if the replaced log has no rows after the common ones, or cannot be read."""

    seq: int
    rows: int
    head: Head | None
    marks: frozenset[Mark]


def find_fork(replaced: sqlite3.Connection, restored: sqlite3.Connection) -> Fork:
    """Compares both logs. Everything that the replaced log or its earlier restores contain, and the restored log does not, is abandoned.
    Raises sqlite3.DatabaseError if the replaced database is damaged."""
    seq = 0
    for row, other in zip(_rows(replaced), _rows(restored), strict=False):
        if row.mac != other.mac:
            break
        seq = row.seq
    marks, digest = marks_of(_rows(replaced), seq, GENESIS)
    rows = len(marks) // 2
    head = Head(seq + rows, digest) if rows else None
    inherited = [mark for of in read_abandoned(replaced).values() for mark in of]
    return Fork(seq, rows, head, _left(restored, [*marks, *inherited]))


def fork_from_memory(remembered: Iterable[Head], restored: sqlite3.Connection) -> Fork:
    """Returns the same, from what the files beside an unreadable database remember."""
    marks = _left(restored, [(head.seq, head.mark) for head in remembered])
    last = restored.execute(AUDIT["last_audit"]).fetchone()
    seq = last[0] if last else 0
    return Fork(seq, max([0, *(mark[0] - seq for mark in marks)]), None, marks)


def write_abandoned(db: sqlite3.Connection, marks: Iterable[Mark], restored_by: int) -> None:
    """Stores the abandoned rows; `restored_by` is the row of the restore. Runs in the transaction of that row."""
    db.execute(SQL["create_abandoned"])
    db.executemany(SQL["add_abandoned"], [{"seq": seq, "mark": mark, "restored_by": restored_by} for seq, mark in marks])


def read_abandoned(db: sqlite3.Connection) -> dict[int, frozenset[Mark]]:
    """Reads all abandoned rows; none from a database of a release without restores."""
    try:
        return _by_restore(db.execute(SQL["list_abandoned"]).fetchall())
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return {}
        raise


def is_abandoned(db: sqlite3.Connection, head: Head) -> bool:
    """Whether a restore abandoned this row. For the writer's connection."""
    return db.execute(SQL["find_restore"], {"seq": head.seq, "mark": head.mark}).fetchone() is not None


async def list_abandoned(store: Store) -> Abandoned:
    """Lists all abandoned rows, by the row of their restore."""
    return _by_restore(await store.fetch_all(SQL["list_abandoned"]))


async def find_restore(store: Store, seq: int, mark: bytes) -> tuple[int, int] | None:
    """Returns number and time of the restore that abandoned this row, or None."""
    row = await store.fetch_one(SQL["find_restore"], {"seq": seq, "mark": mark})
    return (int(row[0]), int(row[1])) if row else None


def _by_restore(rows: Iterable[tuple[int, int, bytes]]) -> dict[int, frozenset[Mark]]:
    found: dict[int, set[Mark]] = {}
    for restored_by, seq, mark in rows:
        found.setdefault(restored_by, set()).add((seq, mark))
    return {seq: frozenset(marks) for seq, marks in found.items()}


def _left(restored: sqlite3.Connection, marks: Iterable[Mark]) -> frozenset[Mark]:
    """The marks that the restored log neither contains nor lists as abandoned already."""
    left, digest = set(marks), GENESIS
    for row in _rows(restored):
        digest = add_to_digest(digest, row)
        left -= {(row.seq, row.mac), (row.seq, digest)}
    return frozenset(left.difference(*read_abandoned(restored).values()))


def _rows(db: sqlite3.Connection) -> Iterator[AuditRow]:
    for row in db.execute(AUDIT["walk_audit"], {"after": BEGIN, "limit": -1}):
        yield AuditRow(*row)
