# SPDX-License-Identifier: AGPL-3.0-or-later
"""Equal rows of the audit log are counted, and nothing is lost in counting."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from z4j.rules.audit.repeats import ALONE, KEYS, ROWS, WINDOW_US, Key, Repeats


def key(number: int = 0, actor: str = "ada", action: str = "export") -> Key:
    return Key(actor, "viewer", action, f"{number}.json", "done", "{}", "::1")


def test_the_first_ones_are_rows_and_the_rest_a_count() -> None:
    repeats = Repeats()
    assert [repeats.is_row(key(), at) for at in range(1, 8)] == [True] * ALONE + [False] * 4
    assert repeats.is_waiting
    assert not repeats.is_over(WINDOW_US)
    assert repeats.is_over(WINDOW_US + 1)
    assert repeats.is_over(0)  # the clock went back
    [(of, count)] = repeats.take()
    assert (of, count.counted, count.first_at, count.last_at) == (key(), 4, 4, 7)
    assert (repeats.is_waiting, repeats.is_over(WINDOW_US * 9), repeats.is_row(key(), 9)) == (False, False, True)


def test_different_rows_of_one_person_are_bounded_and_those_of_another_are_not_touched() -> None:
    repeats = Repeats()
    written = sum(repeats.is_row(key(number), number) for number in range(10_000))
    assert written == ROWS
    assert repeats.is_row(key(actor="bea"), 5)
    [(of, count)] = repeats.take()
    assert (of.actor, of.target, count.counted) == ("ada", "", 10_000 - ROWS)


def test_memory_is_bounded_with_many_people() -> None:
    repeats = Repeats()
    for number in range(3 * KEYS):
        repeats.is_row(key(number, actor=f"p{number % 50}"), number)
    assert len(repeats.counts) <= KEYS + 50


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("ab"), st.sampled_from(["export", "request"])), max_size=400))
@settings(deadline=None)
def test_each_one_is_a_row_or_counted(asked: list[tuple[int, str, str]]) -> None:
    repeats, rows = Repeats(), 0
    for at, (number, actor, action) in enumerate(asked):
        rows += repeats.is_row(key(number, actor, action), at)
    counted: Counter[str] = Counter()
    for of, count in repeats.take():
        counted[of.actor] += count.counted
    assert rows + counted.total() == len(asked)


def test_limits_of_a_window() -> None:
    assert (WINDOW_US, ALONE, ROWS, KEYS) == (60_000_000, 3, 120, 2_000)


def test_a_window_begins_with_its_first_row() -> None:
    repeats = Repeats()
    assert not repeats.is_over(10**18), "nothing waits"
    repeats.is_row(key(), 1_000)
    repeats.is_row(key(), 50_000)
    assert not repeats.is_over(1_000)
    assert not repeats.is_over(1_000 + WINDOW_US - 1)
    assert repeats.is_over(1_000 + WINDOW_US)
    assert repeats.is_over(999)
    assert not repeats.is_waiting


def test_a_new_window_writes_rows_again() -> None:
    repeats = Repeats()
    for number in range(2 * ROWS):
        repeats.is_row(key(number), number)
    repeats.take()
    assert repeats.counts == {}
    assert repeats.is_row(key(), 9)


def test_beyond_a_persons_rows_an_action_is_counted_without_target_reason_and_address() -> None:
    repeats = Repeats()
    for number in range(ROWS):
        assert repeats.is_row(key(number), 1)
    assert not repeats.is_row(key(7)._replace(why="because", address="::2"), 2)
    assert not repeats.is_row(key(8), 5)
    [(of, count)] = repeats.take()
    assert of == Key("ada", "viewer", "export", "", "done", "", "")
    assert (count.seen, count.counted, count.first_at, count.last_at) == (0, 2, 2, 5)


def test_a_row_that_is_new_is_only_counted_once_too_many_are_remembered() -> None:
    repeats = Repeats()
    for number in range(KEYS):
        assert repeats.is_row(key(number, actor=f"p{number}"), 1)
    assert repeats.is_row(key(5, actor="p5"), 2), "one that is remembered is still a row"
    assert not repeats.is_row(key(0, actor="new"), 2)
    assert [of.target for of, _ in repeats.take()] == [""]
