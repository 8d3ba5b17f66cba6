# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a checkpoint signs, and which checkpoint may follow which."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from z4j.rules.audit.checkpoints import Checkpoint, link, signed_text, why_not_next
from z4j.rules.audit.entries import GENESIS

FIRST = Checkpoint(1, 10, 2, b"d", GENESIS, "k", b"s")
SECOND = Checkpoint(2, 20, 3, b"e", link(FIRST), "k", b"s")
UNCHAINED = replace(FIRST, previous=b"")


def test_a_checkpoint_signs_its_number_and_its_predecessor() -> None:
    """In a form that no release may change: logs that are in use were signed with these bytes."""
    point = Checkpoint(5, 1, 2, b"d", b"p", "k", b"")
    assert point.is_chained
    assert signed_text(point) == b'z4j audit checkpoint v2\0[5,1,2,"64","70","k"]'


def test_a_checkpoint_from_before_they_were_chained_signs_less() -> None:
    point = Checkpoint(5, 1, 2, b"d", b"", "k", b"")
    assert not point.is_chained
    assert signed_text(point) == b'z4j audit head v1\0[1,2,"64","k"]'


def test_a_checkpoint_names_the_hash_of_the_one_before_it() -> None:
    assert link(None) == GENESIS
    assert link(FIRST) == hashlib.sha256(b"z4j audit link v2\0" + signed_text(FIRST)).digest()
    assert link(FIRST) != link(replace(FIRST, digest=b"x"))


@pytest.mark.parametrize(
    ("before", "point", "why"),
    [
        (None, FIRST, ""),
        (FIRST, SECOND, ""),
        (None, UNCHAINED, ""),
        (UNCHAINED, replace(SECOND, previous=b""), ""),
        (UNCHAINED, replace(SECOND, previous=link(UNCHAINED)), ""),
        (None, replace(FIRST, number=2), "checkpoint 1 is missing; the next one is checkpoint 2"),
        (FIRST, replace(SECOND, number=4), "checkpoint 2 is missing; the next one is checkpoint 4"),
        (FIRST, replace(SECOND, number=1), "checkpoint 2 is missing; the next one is checkpoint 1"),
        (FIRST, replace(SECOND, seq=10), "checkpoint 2 covers fewer rows than the one before it"),
        (FIRST, replace(SECOND, seq=9), "checkpoint 2 covers fewer rows than the one before it"),
        (FIRST, replace(SECOND, seq=11), ""),
        (None, replace(FIRST, previous=b"x"), "checkpoint 1 does not contain the digest of the previous checkpoint"),
        (FIRST, replace(SECOND, previous=GENESIS), "checkpoint 2 does not contain the digest of the previous checkpoint"),
        (
            FIRST,
            replace(SECOND, previous=b""),
            "checkpoint 2 does not contain the digest of the previous checkpoint, unlike newer checkpoints",
        ),
    ],
)
def test_which_checkpoint_may_follow(before: Checkpoint | None, point: Checkpoint, why: str) -> None:
    assert why_not_next(before, point) == why
