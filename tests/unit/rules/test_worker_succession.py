# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import pytest

from z4j.rules.worker_succession import WorkerSession, replaced


def sat(seat: str | None, began_at: int, gone_at: int | None = None) -> WorkerSession:
    return WorkerSession(seat, began_at, gone_at)


@pytest.mark.parametrize(
    ("sessions", "found"),
    [
        ([], set()),
        ([sat("a", 0, 5), sat("a", 6)], {0}),
        ([sat("a", 6), sat("a", 0, 5)], {1}),
        ([sat("a", 0, 5), sat("b", 6), sat(None, 6), sat(None, 0, 5)], set()),
        ([sat("a", 0, 5), sat("a", 6, 8), sat("a", 9, 12)], {0, 1}),
        # There before the first went: it stands in for nobody.
        ([sat("a", 0, 5), sat("a", 4)], set()),
        # One crashed, the other was restarted: the crashed one is missing.
        ([sat("a", 0, 5), sat("a", 1, 20), sat("a", 21)], {1}),
        ([sat("a", 0, 5), sat("a", 1, 20), sat("a", 21), sat("a", 22)], {0, 1}),
        # A worker that went at the very moment its successor began has been replaced.
        ([sat("a", 0, 5), sat("a", 5)], {0}),
        # Of two that went, the later is the one whose place is taken, in whatever order they are listed.
        ([sat("a", 1, 20), sat("a", 0, 5), sat("a", 21)], {0}),
        ([sat("a", 1, 5), sat("a", 0, 20), sat("a", 21)], {1}),
    ],
    ids=[
        "nobody",
        "again",
        "any order",
        "other seats",
        "many times",
        "beside",
        "one of two",
        "both of two",
        "at once",
        "listed later",
        "the last that went",
    ],
)
def test_a_newcomer_takes_one_place(sessions: list[WorkerSession], found: set[int]) -> None:
    assert replaced(sessions) == found
