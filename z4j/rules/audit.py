# SPDX-License-Identifier: AGPL-3.0-or-later
"""The chain of the audit log: what exactly is signed, and how a broken chain is found. Pure.

Each row's MAC is HMAC-SHA256 over the MAC before it and the row in one canonical form, so that an edited, deleted, inserted or
reordered row breaks everything behind it. A log cut off at its end is found by the head that is kept apart from it.

The MAC needs our secret to be checked. Beside it runs a digest that anybody can compute: SHA-256 over the digest before it, the row
and its MAC. A signed head is the digest up to a row with an Ed25519 signature (`store/heads.py`); whoever has the public key can check
an export with it, and whoever kept a head can say later whether the log still holds it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable
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
    """A row as it was seen some time, by its MAC or by its digest: a log that does not contain it has been cut or rewritten."""

    seq: int
    mark: bytes


@dataclass(frozen=True, slots=True)
class SignedHead:
    """The digest up to row `seq`, signed at `at` (microseconds UTC) with the Ed25519 key `key_id`."""

    seq: int
    at: int
    digest: bytes
    key_id: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Verdict:
    """`broken_at` is the first row that cannot be trusted, 0 when all can. `heads` signed heads were checked; `head` is the end of
    what can be trusted, by its MAC, and `digest` the same by its digest."""

    rows: int
    broken_at: int
    why: str
    head: Head
    digest: bytes = GENESIS
    heads: int = 0

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


def add_to_digest(before: bytes, row: AuditRow) -> bytes:
    """The digest up to `row`, which comes behind a row whose digest was `before`."""
    return hashlib.sha256(b"z4j audit digest v1\0" + before + row.mac + canonical(row)).digest()


def head_text(seq: int, at: int, digest: bytes, key_id: str) -> bytes:
    """The bytes of a head that are signed."""
    return b"z4j audit head v1\0" + json.dumps([seq, at, digest.hex(), key_id], separators=(",", ":")).encode("ascii")


def verify(
    rows: Iterable[AuditRow],
    keys: dict[str, bytes],
    known: Iterable[Head] = (),
    signed: Iterable[SignedHead] = (),
    why_not_ours: Callable[[SignedHead], str] = lambda _: "",
) -> Verdict:
    """Walks the whole log in order. `known` are heads kept elsewhere and `signed` those of the log: all must be part of it.

    `why_not_ours` answers what is wrong with a signature, or an empty text.
    """
    marks = _marks(known)
    heads = {head.seq: head for head in signed}
    last = max([0, *marks, *heads])
    before, digest, seq, checked = GENESIS, GENESIS, 0, 0
    for row in rows:
        why = _flaw(row, seq + 1, before, keys)
        if why is None:
            after = add_to_digest(digest, row)
            if any(mark not in (row.mac, after) for mark in marks.get(row.seq, ())):
                why = "the row is not the one that was seen here before: the log was rewritten"
            elif (head := heads.get(row.seq)) is not None:
                checked += 1
                why = "the row is not the one whose head was signed" if head.digest != after else why_not_ours(head) or None
        if why is not None:
            return Verdict(seq, seq + 1, why, Head(seq, before), digest, checked)
        before, digest, seq = row.mac, after, row.seq
    end = Head(seq, before)
    if last > seq:
        return Verdict(seq, seq + 1, f"the log ends at row {seq}, but row {last} was seen: its end was cut off", end, digest, checked)
    return Verdict(seq, 0, "", end, digest, checked)


def _marks(known: Iterable[Head]) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = {}
    for head in known:
        if head.seq:
            found.setdefault(head.seq, []).append(head.mark)
    return found


def _flaw(row: AuditRow, expected: int, before: bytes, keys: dict[str, bytes]) -> str | None:
    if row.seq != expected:
        return f"row {expected} is missing; the next one is row {row.seq}"
    key = keys.get(row.key_id)
    if key is None:
        return f"it was signed with key {row.key_id}, which is not here"
    if not hmac.compare_digest(sign(key, before, row), row.mac):
        return "its content, or that of a row before it, is not what was signed"
    return None
