# SPDX-License-Identifier: AGPL-3.0-or-later
"""Labels take the first row with room, turn to the left at the right edge, and are left out where there is no room."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as some

from z4j.rules.charts.mark_labels import CHARACTER, LABEL_LENGTH, LABEL_ROWS, place_labels


def test_a_label_takes_the_first_row_with_room() -> None:
    rows = [mark.row for mark in place_labels([(0, 100, 5), (1, 110, 5), (2, 120, 5), (3, 130, 5), (4, 400, 5)])]
    assert rows == [0, 1, 2, -1, 0]


def test_a_label_at_the_right_edge_ends_at_its_line() -> None:
    [mark] = place_labels([(0, 990, 5)])
    assert (mark.anchor, mark.row) == ("end", 0)


@given(some.lists(some.tuples(some.floats(0, 1_000), some.integers(0, 90))))
@settings(deadline=None)
def test_labels_of_a_row_do_not_overlap(places: list[tuple[float, int]]) -> None:
    marks = place_labels([(index, x, length) for index, (x, length) in enumerate(sorted(places))])
    assert len(marks) == len(places)
    lengths = [length for _, length in sorted(places)]
    for row in range(LABEL_ROWS):
        end = 0.0
        for mark in marks:
            if mark.row == row:
                width = CHARACTER * min(lengths[mark.index], LABEL_LENGTH)
                start = mark.x if mark.anchor == "start" else mark.x - width
                assert start >= end
                end = start + width
                assert end <= 1_000


def test_the_room_of_a_label_is_that_of_its_characters() -> None:
    assert CHARACTER == 18
    assert LABEL_LENGTH == 28
    assert [mark.row for mark in place_labels([(0, 0.0, 5), (1, 107.9, 1), (2, 108.0, 1)])] == [0, 1, 0]
    assert [mark.anchor for mark in place_labels([(0, 892.0, 5)])] == ["start"], "6 times 18 up to the edge"
    assert [mark.anchor for mark in place_labels([(0, 892.1, 5)])] == ["end"]
    assert [mark.row for mark in place_labels([(0, 0.0, 99), (1, 521.9, 1), (2, 522.0, 1)])] == [0, 1, 0], "29 times 18"
    assert place_labels([(7, 10.0, 1)])[0].index == 7
