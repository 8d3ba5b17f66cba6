# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every way to tamper with the log is found, at the row where it happened."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from z4j.rules.audit import GENESIS, AuditRow, Head, add_to_digest, canonical, sign, visible
from z4j.rules.audit_checkpoints import Checkpoint, link, signed_text
from z4j.rules.audit_walk import verify

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
    verdict = verify(rows, KEYS, [Head(4, ends[3]), Head(4, rows[3].mac)], points(ends, 2, 6))
    assert verdict.is_intact
    assert (verdict.digest, verdict.heads) == (ends[5], 2)
    assert verify(rows, KEYS, [Head(4, ends[2])]).broken_at == 4


def test_signed_heads_must_fit_their_rows_and_be_ours() -> None:
    rows = chain()
    ends = digests(rows)
    assert verify(rows, KEYS, points=points(ends, 3), why_not_ours=lambda _: "not ours").why == "not ours"
    verdict = verify(rows, KEYS, points=points([*ends[:2], ends[3]], 3))
    assert (verdict.broken_at, verdict.heads) == (3, 0)
    assert "checkpoint 1 covers" in verdict.why
    assert "cut off" in verify(rows[:5], KEYS, points=points(ends, 6)).why


def test_a_checkpoint_that_is_missing_moved_or_not_chained_is_found() -> None:
    rows = chain()
    ends = digests(rows)
    whole = points(ends, 1, 2, 4, 6)
    assert verify(rows, KEYS, points=whole).covered == 6
    for gone in range(3):
        verdict = verify(rows, KEYS, points=whole[:gone] + whole[gone + 1 :])
        assert f"checkpoint {gone + 1} is missing" in verdict.why
    broken = {
        "renumbered": [whole[0], replace(whole[2], number=2), replace(whole[3], number=3)],
        "relinked": [whole[0], replace(whole[2], number=2, previous=link(whole[0])), replace(whole[3], number=3)],
        "no row": [replace(whole[0], seq=0), *whole[1:]],
        "twice": [*whole[:2], replace(whole[1], number=3), *whole[2:]],
        "unchained after chained": [*whole[:3], replace(whole[3], previous=b"")],
    }
    for what, found in broken.items():
        assert not verify(rows, KEYS, points=found).is_intact, what


def test_the_last_checkpoint_is_missed_by_its_number() -> None:
    rows = chain()
    ends = digests(rows)
    whole = points(ends, 2, 6)
    verdict = verify(rows, KEYS, [Head(6, ends[5], 2, "an agent")], whole[:1])
    assert "an agent remembers number 2" in verdict.why
    assert verify(rows, KEYS, [Head(6, ends[5], 2, "an agent")], whole).is_intact


def test_checkpoints_from_before_they_were_chained_come_first_and_are_counted() -> None:
    rows = chain()
    ends = digests(rows)
    old = [replace(point, previous=b"") for point in points(ends, 1, 2)]
    new = Checkpoint(3, 4, 9, ends[3], link(old[1]), "e1", b"s")
    assert verify(rows, KEYS, points=[*old, new]).is_intact
    assert not verify(rows, KEYS, points=[replace(old[1], number=1), new]).is_intact
    assert not verify(rows, KEYS, points=[old[0], replace(new, number=2)]).is_intact


def test_a_row_with_a_number_below_one_is_found() -> None:
    rows = chain()
    assert verify([replace(rows[0], seq=0), *rows], KEYS).broken_at == 1
    assert verify([replace(rows[0], seq=-5), *rows], KEYS).broken_at == 1


def test_a_log_that_ends_with_a_covered_backup_is_a_copy() -> None:
    rows, before = [], GENESIS
    for plain in chain(3):
        row = replace(plain, action="backup" if plain.seq == 3 else plain.action)
        rows.append(replace(row, mac=sign(KEY, before, row)))
        before = rows[-1].mac
    ends = digests(rows)
    assert verify(rows, KEYS, points=points(ends, 3)).copied_at == 3000
    assert verify(rows, KEYS, points=points(ends, 2)).copied_at == 0
    assert verify(rows[:2], KEYS, points=points(ends, 2)).copied_at == 0


def test_control_characters_become_visible() -> None:
    assert visible("a\x1b[31m\n\u202eb\x9b\u2028") == "a\\u001b[31m\\u000a\\u202eb\\u009b\\u2028"
    assert visible("Zoë 任务 é") == "Zoë 任务 é"


def test_the_digest_covers_the_mac_and_the_row_and_what_came_before() -> None:
    row = chain()[0]
    other = {add_to_digest(GENESIS, row), add_to_digest(GENESIS, replace(row, mac=b"m")), add_to_digest(b"1" * 32, row)}
    assert len(other | {add_to_digest(GENESIS, replace(row, actor="eve"))}) == 4
    point = Checkpoint(5, 1, 2, b"d", b"", "k", b"")
    assert signed_text(point) == b'z4j audit head v1\0[1,2,"64","k"]'
    assert signed_text(replace(point, previous=b"p")) == b'z4j audit checkpoint v2\0[5,1,2,"64","70","k"]'


def test_an_unknown_key_is_found() -> None:
    assert verify(chain(), {}).broken_at == 1


def test_the_canonical_form_is_unambiguous() -> None:
    row = chain()[0]
    assert canonical(replace(row, actor="a", role="b")) != canonical(replace(row, actor='a","b', role=""))
