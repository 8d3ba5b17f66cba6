# SPDX-License-Identifier: AGPL-3.0-or-later
"""The chain of the audit log: what exactly is signed, and how a broken chain is found. Pure.

Each row's MAC is HMAC-SHA256 over the MAC before it and the row in one canonical form, so that an edited, deleted, inserted or
reordered row breaks everything behind it. A log cut off at its end is found by the head that is kept apart from it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass

GENESIS = b"\0" * 32


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One action. `at` is microseconds UTC; `outcome` is done, refused or failed; `detail` is JSON text."""

    seq: int
    at: int
    actor: str
    role: str
    action: str
    target: str
    outcome: str
    detail: str
    address: str
    key_id: str
    mac: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """The last row as it was seen some time: a log that does not contain it has been cut or rewritten."""

    seq: int
    mac: bytes


@dataclass(frozen=True, slots=True)
class Verdict:
    """`broken_at` is the first row that cannot be trusted, 0 when all can."""

    rows: int
    broken_at: int
    why: str
    head: Head

    @property
    def is_intact(self) -> bool:
        return self.broken_at == 0


def canonical(row: AuditRow) -> bytes:
    """The bytes that are signed: unambiguous, and the same for ever."""
    fields = [row.seq, row.at, row.actor, row.role, row.action, row.target, row.outcome, row.detail, row.address, row.key_id]
    return json.dumps(fields, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def sign(key: bytes, before: bytes, row: AuditRow) -> bytes:
    """The MAC of `row` behind a row whose MAC was `before`."""
    return hmac.digest(key, b"z4j audit v1\0" + before + canonical(row), hashlib.sha256)


def verify(rows: Iterable[AuditRow], keys: dict[str, bytes], known: Head | None = None) -> Verdict:
    """Walks the whole log in order. `known` is a head kept elsewhere; it must still be part of the log."""
    before, expected = GENESIS, 1
    is_known_seen = known is None or known.seq == 0
    for row in rows:
        why = _flaw(row, expected, before, keys)
        if why is None and known is not None and row.seq == known.seq:
            is_known_seen = hmac.compare_digest(row.mac, known.mac)
            why = None if is_known_seen else "the row is not the one that was seen here before: the log was rewritten"
        if why is not None:
            return Verdict(expected - 1, expected, why, Head(expected - 1, before))
        before, expected = row.mac, expected + 1
    head = Head(expected - 1, before)
    if not is_known_seen and known is not None:
        return Verdict(head.seq, expected, f"the log ends at row {head.seq}, but row {known.seq} was seen: its end was cut off", head)
    return Verdict(head.seq, 0, "", head)


def _flaw(row: AuditRow, expected: int, before: bytes, keys: dict[str, bytes]) -> str | None:
    if row.seq != expected:
        return f"row {expected} is missing; the next one is row {row.seq}"
    key = keys.get(row.key_id)
    if key is None:
        return f"it was signed with key {row.key_id}, which is not here"
    if not hmac.compare_digest(sign(key, before, row), row.mac):
        return "its content, or that of a row before it, is not what was signed"
    return None
