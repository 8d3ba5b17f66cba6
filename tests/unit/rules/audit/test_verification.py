# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every way to tamper with the log is found, at the row where it happened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.support.audit_chain import KEY, KEYS, chain, digests, points
from z4j.rules.audit.checkpoints import Checkpoint, link
from z4j.rules.audit.entries import ANY, GENESIS, AuditRow, Head, add_to_digest, sign
from z4j.rules.audit.verification import Position, Walk, is_copy, verify


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
    assert "end was removed" in verdict.why


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
    assert "end was removed" in verify(rows[:5], KEYS, points=points(ends, 6)).why


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
    assert "an agent recorded number 2" in verdict.why
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


def test_an_unknown_key_is_found() -> None:
    verdict = verify(chain(), {})
    assert (verdict.broken_at, verdict.why) == (1, "it was signed with key k1, which this server does not have")


# -- what a verdict says -------------------------------------------------------------------------------------------------
def test_the_verdict_of_a_broken_log_ends_at_the_last_row_that_can_be_trusted() -> None:
    rows = chain()
    ends = digests(rows)
    edited = [*rows[:3], replace(rows[3], actor="eve"), *rows[4:]]
    verdict = verify(edited, KEYS, points=points(ends, 2, 6))
    assert not verdict.is_intact
    assert (verdict.rows, verdict.broken_at, verdict.head, verdict.digest) == (3, 4, Head(3, rows[2].mac), ends[2])
    assert (verdict.heads, verdict.covered) == (1, 2)
    assert verdict.why == "its content, or that of an earlier row, differs from what was signed"


def test_the_verdict_of_a_log_without_checkpoints_covers_nothing() -> None:
    verdict = verify(chain(), KEYS)
    assert (verdict.heads, verdict.covered, verdict.copied_at, verdict.broken_at, verdict.why) == (0, 0, 0, 0, "")
    empty = verify([], KEYS)
    assert (empty.rows, empty.head, empty.digest, empty.copied_at) == (0, Head(0, GENESIS), GENESIS, 0)


def test_reasons_name_the_row_and_who_remembers_it() -> None:
    rows = chain()
    ends = digests(rows)
    assert verify(rows[:2] + rows[3:], KEYS).why == "row 3 is missing; the next one is row 4"
    assert verify(rows, KEYS, [Head(2, b"x", source="a browser")]).why == (
        "the row differs from the one that a browser recorded: the log was rewritten"
    )
    assert verify(rows, KEYS, [Head(2, b"x")]).why == "the row differs from the one that an unknown source recorded: the log was rewritten"
    assert verify(rows[:4], KEYS, [Head(6, b"x", source="a browser")]).why == (
        "the log ends at row 4, but a browser recorded row 6: its end was removed"
    )
    verdict = verify(rows[:4], KEYS, points=points(ends, 2, 6))
    assert (verdict.broken_at, verdict.why) == (5, "the log ends at row 4, but a checkpoint covers row 6: its end was removed")
    verdict = verify(rows, KEYS, points=points([b"x"] * 6, 3))
    assert (verdict.broken_at, verdict.why) == (3, "the row differs from the one that checkpoint 1 covers")


def test_of_many_who_remember_a_row_that_is_gone_the_farthest_is_named() -> None:
    rows = chain()
    known = [Head(5, b"x", source="one"), Head(6, b"y", source="two")]
    assert "two recorded row 6" in verify(rows[:4], KEYS, known).why
    assert "two recorded row 6" in verify(rows[:4], KEYS, known[::-1]).why


def test_several_may_remember_one_row_and_each_is_compared() -> None:
    rows = chain()
    assert verify(rows, KEYS, [Head(3, rows[2].mac), Head(3, rows[2].mac)]).is_intact
    assert verify(rows, KEYS, [Head(3, rows[2].mac), Head(3, b"x", source="two")]).broken_at == 3


@pytest.mark.parametrize(("number", "broken_at"), [(0, 0), (1, 0), (ANY, 0), (2, 5), (3, 5)])
def test_a_remembered_checkpoint_is_one_of_the_log(number: int, broken_at: int) -> None:
    """Numbers beyond the last were taken out after row 4; of an unknown number, any checkpoint over that row will do."""
    rows = chain()
    ends = digests(rows)
    verdict = verify(rows, KEYS, [Head(4, ends[3], number, "an agent")], points(ends, 4))
    assert verdict.broken_at == broken_at
    assert ("it was removed" in verdict.why) == (broken_at > 0)


def test_a_checkpoint_that_was_taken_out_of_a_log_without_others_breaks_its_first_row() -> None:
    rows = chain()
    verdict = verify(rows, KEYS, [Head(4, digests(rows)[3], 1, "an agent")])
    assert (verdict.broken_at, verdict.why) == (
        1,
        "the last checkpoint is number 0, but an agent recorded number 1: it was removed",
    )


@pytest.mark.parametrize("number", [1, ANY])
def test_a_checkpoint_that_was_replaced_is_found(number: int) -> None:
    """The row is as it was, but another checkpoint has the number that was remembered for it."""
    rows = chain()
    ends = digests(rows)
    verdict = verify(rows, KEYS, [Head(3, ends[2], number, "an agent")], points(ends, 4))
    assert (verdict.broken_at, verdict.why) == (3, "the checkpoint over row 3 that an agent recorded is not in the log")


def test_the_first_flaw_is_the_one_that_is_told() -> None:
    rows = chain()
    ends = digests(rows)
    known = [Head(3, ends[2], 1, "one"), Head(2, ends[1], 1, "two")]
    verdict = verify(rows, KEYS, known, points(ends, 4))
    assert (verdict.broken_at, "one" in verdict.why) == (3, True)


def test_a_checkpoint_in_a_wrong_place_breaks_the_log_at_the_row_it_covers() -> None:
    rows = chain()
    ends = digests(rows)
    whole = points(ends, 2, 4)
    twice = replace(whole[1], number=2, seq=2, digest=ends[1])
    verdict = verify(rows, KEYS, points=[whole[0], twice])
    assert (verdict.broken_at, verdict.why) == (2, "checkpoint 2 covers fewer rows than the one before it")
    last = verify(rows[:2], KEYS, points=[whole[0], twice])
    assert (last.broken_at, last.why) == (2, "checkpoint 2 covers fewer rows than the one before it")
    first = verify(rows, KEYS, points=[replace(whole[0], seq=0)])
    assert (first.broken_at, first.why, first.rows) == (1, "checkpoint 1 covers no additional row", 0)


def test_checkpoints_are_read_in_the_order_of_their_numbers() -> None:
    rows = chain()
    assert verify(rows, KEYS, points=points(digests(rows), 1, 2, 6)[::-1]).is_intact


# -- going on from a checkpoint ------------------------------------------------------------------------------------------
def test_a_walk_goes_on_from_where_the_last_one_ended() -> None:
    """The server checks the rows since its last checkpoint before it signs the next one."""
    rows = chain()
    ends = digests(rows)
    first, second = points(ends, 3, 6)
    start = Position(3, rows[2].mac, ends[2], first)
    walk = Walk(KEYS, [second], lambda _: "", start=start)
    assert walk.feed(rows[3:])
    assert walk.at == Position(6, rows[5].mac, ends[5], second)
    verdict = walk.end()
    assert verdict.is_intact
    assert (verdict.covered, verdict.rows) == (6, 6)
    other = Walk(KEYS, [], lambda _: "", start=Position(3, rows[1].mac, ends[2], first))
    assert not other.feed(rows[3:])
    assert other.end().broken_at == 4


def test_rows_may_come_in_several_parts_and_none_is_read_after_a_flaw() -> None:
    rows = chain()
    walk = Walk(KEYS, [], lambda _: "")
    assert walk.feed(rows[:2])
    assert walk.feed([])
    assert not walk.feed([rows[3]])
    read: list[int] = []

    def more() -> Iterator[AuditRow]:
        for row in rows[2:]:
            read.append(row.seq)
            yield row

    assert not walk.feed(more())
    assert len(read) == 1
    assert walk.at.seq == 2


def test_what_is_remembered_of_rows_before_the_start_is_not_compared_again() -> None:
    rows = chain()
    ends = digests(rows)
    first = points(ends, 3)[0]
    start = Position(3, rows[2].mac, ends[2], first)
    walk = Walk(KEYS, [], lambda _: "", [Head(2, b"other"), Head(3, b"other")], start)
    assert walk.feed(rows[3:])
    assert walk.end().is_intact
    cut = Walk(KEYS, [], lambda _: "", [Head(7, b"other")], start)
    assert cut.feed(rows[3:])
    assert cut.end().broken_at == 7


def test_a_checkpoint_over_rows_before_the_start_stands_in_the_wrong_place() -> None:
    rows = chain()
    ends = digests(rows)
    first, second = points(ends, 2, 3)
    start = Position(3, rows[2].mac, ends[2], first)
    walk = Walk(KEYS, [second], lambda _: "", start=start)
    assert not walk.feed(rows[3:])
    assert walk.end().broken_at == 3


def test_a_copy_ends_with_a_finished_backup_that_a_checkpoint_covers() -> None:
    row = replace(chain()[0], action="backup")
    assert is_copy(row, 1)
    assert not is_copy(row, 0)
    assert not is_copy(replace(row, outcome="failed"), 1)
    assert not is_copy(replace(row, action="login"), 1)


def test_nobody_can_make_a_row_follow_another_without_the_key() -> None:
    """Also with the digest right, which anybody can compute."""
    rows = chain(3)
    forged = replace(rows[2], actor="eve")
    forged = replace(forged, mac=sign(b"x" * 32, rows[1].mac, forged))
    digest = add_to_digest(digests(rows)[1], forged)
    point = Checkpoint(1, 3, 9, digest, link(None), "e1", b"s")
    assert verify([*rows[:2], forged], KEYS, points=[point]).broken_at == 3
    assert sign(KEY, rows[1].mac, forged) != forged.mac
