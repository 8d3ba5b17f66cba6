# SPDX-License-Identifier: AGPL-3.0-or-later
"""A small audit log, signed, with its digests and checkpoints."""

from __future__ import annotations

from dataclasses import replace

from z4j.rules.audit.checkpoints import Checkpoint, link
from z4j.rules.audit.entries import GENESIS, AuditRow, add_to_digest, sign

KEY = b"k" * 32
KEYS = {"k1": KEY}


def chain(length: int = 6) -> list[AuditRow]:
    rows, before = [], GENESIS
    for seq in range(1, length + 1):
        row = AuditRow(seq, seq * 1000, "ada", "admin", "retry_task", f"celery:{seq}", "done", "{}", "::1", "k1", b"")
        row = replace(row, mac=sign(KEY, before, row))
        rows.append(row)
        before = row.mac
    return rows


def digests(rows: list[AuditRow]) -> list[bytes]:
    found, digest = [], GENESIS
    for row in rows:
        digest = add_to_digest(digest, row)
        found.append(digest)
    return found


def points(ends: list[bytes], *seqs: int) -> list[Checkpoint]:
    """Chained checkpoints over these rows."""
    found: list[Checkpoint] = []
    for seq in seqs:
        before = found[-1] if found else None
        found.append(Checkpoint(len(found) + 1, seq, 9, ends[seq - 1], link(before), "e1", b"s"))
    return found
