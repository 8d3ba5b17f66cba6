# SPDX-License-Identifier: AGPL-3.0-or-later
"""The row that records a restored backup, and the rows that were abandoned by it. Pure.

A restored log ends earlier than the log it replaces. Its next row has the action `restore_backup` and names the rows that were abandoned:
their number, and the SHA-256 over the number, MAC and digest of each. The list itself is stored beside the log. An agent or a browser that
remembers one of exactly these rows remembers what was restored over. A row that no restore names was removed in another way.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from z4j.rules.audit.entries import AuditRow, add_to_digest

ACTION: Final = "restore_backup"
NAMED: Final = "abandoned_sha256"
Mark: TypeAlias = tuple[int, bytes]
"""A row by its number and its MAC, or by its number and the digest up to it."""
Abandoned: TypeAlias = Mapping[int, frozenset[Mark]]
"""The number of each row of a restore → the rows that were abandoned by it."""


def digest_of(marks: Iterable[Mark]) -> str:
    """Returns the digest by which a restore names the abandoned rows, in hex digits."""
    lines = [[seq, mark.hex()] for seq, mark in sorted(marks)]
    return hashlib.sha256(b"z4j audit abandoned v1\0" + json.dumps(lines, separators=(",", ":")).encode("ascii")).hexdigest()


def is_restore(row: AuditRow) -> bool:
    """Whether this row records a restored backup."""
    return (row.action, row.outcome) == (ACTION, "done")


def names(row: AuditRow, marks: Iterable[Mark]) -> bool:
    """Whether the row of a restore names exactly these abandoned rows."""
    try:
        detail = json.loads(row.detail)
    except ValueError:
        return False
    return isinstance(detail, dict) and detail.get(NAMED) == digest_of(marks)


def marks_of(rows: Iterable[AuditRow], after: int, digest: bytes) -> tuple[list[Mark], bytes]:
    """Returns the marks of the rows after number `after`, and the digest up to the last one. `rows` follow a row with the digest
    `digest`."""
    marks: list[Mark] = []
    for row in rows:
        digest = add_to_digest(digest, row)
        if row.seq > after:
            marks += [(row.seq, row.mac), (row.seq, digest)]
    return marks, digest
