# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every way to tamper with the log is found, at the row where it happened."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from z4j.rules.audit import GENESIS, AuditRow, Head, SignedHead, add_to_digest, canonical, head_text, sign, verify

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


def head(seq: int, digest: bytes) -> SignedHead:
    return SignedHead(seq, 9, digest, "e1", b"s")


def test_an_untouched_log_is_intact() -> None:
    rows = chain()
    verdict = verify(rows, KEYS, [Head(3, rows[2].mac)])
    assert verdict.is_intact
    assert verdict.rows == 6
    assert verdict.head == Head(6, rows[-1].mac)
    assert verify([], KEYS).is_intact
    assert verify([], KEYS, [Head(0, GENESIS)]).is_intact


@pytest.mark.parametrize(
    "field", ["at", "actor", "role", "action", "target", "outcome", "detail", "address", "mac"]
)  # fmt: skip
def test_an_edited_row_is_found(field: str) -> None:
    rows = chain()
    old: Any = getattr(rows[3], field)
    other: Any = old + 1 if isinstance(old, int) else old + (b"x" if isinstance(old, bytes) else "x")
    rows[3] = replace(rows[3], **{field: other})
    assert verify(rows, KEYS).broken_at == 4


def test_deletion_insertion_and_reordering_are_found() -> None:
    rows = chain()
    assert verify(rows[:2] + rows[3:], KEYS).broken_at == 3
    assert "missing" in verify(rows[:2] + rows[3:], KEYS).why
    assert verify([*rows[:3], replace(rows[2], seq=4), *rows[3:]], KEYS).broken_at == 4
    swapped = [rows[0], replace(rows[2], seq=2), replace(rows[1], seq=3), *rows[3:]]
    assert verify(swapped, KEYS).broken_at == 2


def test_truncation_is_found_by_a_head_kept_elsewhere() -> None:
    rows = chain()
    assert verify(rows[:4], KEYS).is_intact
    verdict = verify(rows[:4], KEYS, [Head(6, rows[5].mac)])
    assert verdict.broken_at == 5
    assert "cut off" in verdict.why


def test_a_rewritten_log_is_found_by_a_head_kept_elsewhere() -> None:
    rows = chain()
    other = [replace(row, actor="eve") for row in rows]
    before = GENESIS
    for number, row in enumerate(other):
        other[number] = replace(row, mac=sign(KEY, before, row))
        before = other[number].mac
    assert verify(other, KEYS).is_intact
    verdict = verify(other, KEYS, [Head(2, rows[1].mac)])
    assert verdict.broken_at == 2
    assert "rewritten" in verdict.why


def test_the_end_is_known_by_its_mac_and_by_its_digest() -> None:
    rows = chain()
    ends = digests(rows)
    verdict = verify(rows, KEYS, [Head(4, ends[3]), Head(4, rows[3].mac)], [head(2, ends[1]), head(6, ends[5])])
    assert verdict.is_intact
    assert (verdict.digest, verdict.heads) == (ends[5], 2)
    assert verify(rows, KEYS, [Head(4, ends[2])]).broken_at == 4


def test_signed_heads_must_fit_their_rows_and_be_ours() -> None:
    rows = chain()
    ends = digests(rows)
    assert verify(rows, KEYS, signed=[head(3, ends[2])], why_not_ours=lambda _: "not ours").why == "not ours"
    verdict = verify(rows, KEYS, signed=[head(3, ends[3])])
    assert (verdict.broken_at, verdict.heads) == (3, 1)
    assert "signed" in verdict.why
    assert "cut off" in verify(rows[:5], KEYS, signed=[head(6, ends[5])]).why


def test_the_digest_covers_the_mac_and_the_row_and_what_came_before() -> None:
    row = chain()[0]
    other = {add_to_digest(GENESIS, row), add_to_digest(GENESIS, replace(row, mac=b"m")), add_to_digest(b"1" * 32, row)}
    assert len(other | {add_to_digest(GENESIS, replace(row, actor="eve"))}) == 4
    assert head_text(1, 2, b"d", "k") == b'z4j audit head v1\0[1,2,"64","k"]'


def test_an_unknown_key_is_found() -> None:
    assert verify(chain(), {}).broken_at == 1


def test_the_canonical_form_is_unambiguous() -> None:
    row = chain()[0]
    assert canonical(replace(row, actor="a", role="b")) != canonical(replace(row, actor='a","b', role=""))
