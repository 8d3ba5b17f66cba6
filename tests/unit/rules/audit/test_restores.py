# SPDX-License-Identifier: AGPL-3.0-or-later
"""A log that continues after a restore is intact for everybody who remembers an abandoned row, and for nobody else."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.support.audit_chain import KEY, KEYS, chain, digests
from z4j.rules.audit.entries import GENESIS, AuditRow, Head, sign
from z4j.rules.audit.restores import ACTION, NAMED, Abandoned, digest_of, is_restore, marks_of, names
from z4j.rules.audit.verification import verify

FORK = 4
OLD = chain(8)
MARKS, END = marks_of(OLD, FORK, GENESIS)


def restored(marks: object = None, *, outcome: str = "done") -> list[AuditRow]:
    """The first rows of the old log, the row of the restore, and two more."""
    rows = OLD[:FORK]
    detail = json.dumps({NAMED: digest_of(MARKS if marks is None else marks)})  # type: ignore[arg-type]
    before = rows[-1].mac
    for action, text in ((ACTION, detail), ("set_role", "{}"), ("set_role", "{}")):
        row = AuditRow(len(rows) + 1, 9_000, "root", "admin", action, "x", outcome, text, "", "k1", b"")
        row = replace(row, mac=sign(KEY, before, row))
        rows, before = [*rows, row], row.mac
    return rows


def check(known: list[Head], rows: list[AuditRow] | None = None, abandoned: Abandoned | None = None) -> str:
    verdict = verify(rows or restored(), KEYS, known, abandoned={5: frozenset(MARKS)} if abandoned is None else abandoned)
    assert verdict.is_intact == (verdict.why == "")
    return verdict.why


def test_every_abandoned_row_may_be_remembered_by_its_mac_or_its_digest() -> None:
    ends = digests(OLD)
    assert ends[-1] == END
    known = [Head(row.seq, mark, number, "an agent") for row in OLD for mark in (row.mac, ends[row.seq - 1]) for number in (0,)]
    assert check(known) == ""
    assert check([Head(8, ends[7], 3, "an agent")]) == ""
    assert verify(restored(), KEYS, known, abandoned={5: frozenset(MARKS)}).restores == (5,)


def test_without_the_restore_the_same_rows_are_an_alarm() -> None:
    assert "end was removed" in check([Head(8, OLD[7].mac)], OLD[:FORK], {})
    assert "rewritten" in verify(restored(), KEYS, [Head(6, OLD[5].mac)]).why


@pytest.mark.parametrize("seq", [6, 8, 9])
def test_a_row_that_was_not_abandoned_is_an_alarm(seq: int) -> None:
    assert check([Head(seq, b"x" * 32, 0, "an agent")]) != ""


def test_rows_of_the_log_itself_are_still_compared() -> None:
    assert "rewritten" in check([Head(3, b"x" * 32)])
    edited = restored()
    edited[1] = replace(edited[1], actor="eve")
    assert check([], edited) != ""


@pytest.mark.parametrize(
    "abandoned",
    [
        {5: frozenset([*MARKS, (9, b"y" * 32)])},
        {5: frozenset(MARKS[1:])},
        {},
        {5: frozenset(MARKS), 6: frozenset({(7, b"y" * 32)})},
        {6: frozenset(MARKS)},
    ],
    ids=["added", "removed", "all removed", "of another row", "moved"],
)
def test_a_list_that_the_restore_does_not_name_is_an_alarm(abandoned: Abandoned) -> None:
    assert "abandoned" in check([], None, abandoned)


def test_only_a_restore_that_was_done_names_rows() -> None:
    [row] = [row for row in restored() if row.action == ACTION]
    assert is_restore(row)
    assert not is_restore(replace(row, outcome="failed"))
    assert names(row, MARKS)
    assert not names(row, MARKS[:1])
    for detail in ("", "[]", "{}", "5"):
        assert not names(replace(row, detail=detail), MARKS)
    assert "records no restore" in check([], restored(outcome="failed"))


def test_a_walk_from_the_middle_checks_no_restore() -> None:
    assert verify(restored([]), KEYS).is_intact
