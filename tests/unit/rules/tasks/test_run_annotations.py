# SPDX-License-Identifier: AGPL-3.0-or-later
"""Notes of attempts are joined in any order, with any repetition and in any groups; and whose execution they belong to."""

from __future__ import annotations

import random
from functools import reduce

from hypothesis import given, settings
from hypothesis import strategies as st

from z4j.rules.tasks import run_annotations
from z4j.rules.tasks.run_annotations import MAX_FIELDS, NOTHING, ExecutionRow, RunAnnotations, join, row_of

values = st.tuples(st.integers(0, 3), st.sampled_from(["a", "b"]))
names = st.integers(0, MAX_FIELDS + 6).map(lambda number: f"n{number:02}")
some = st.builds(
    RunAnnotations,
    st.dictionaries(names, values, max_size=MAX_FIELDS),
    st.dictionaries(st.sampled_from(run_annotations.ID_NAMES), values),
    st.integers(0, 3),
    st.one_of(st.just(()), st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(-1, 2), st.sampled_from(["", "t"]))),
)


def joined(parts: list[RunAnnotations]) -> RunAnnotations:
    return reduce(join, parts, NOTHING)


@given(st.lists(some, min_size=1, max_size=8), st.randoms(use_true_random=False), st.integers(1, 4))
@settings(deadline=None)
def test_order_copies_and_groups_do_not_matter(parts: list[RunAnnotations], chance: random.Random, size: int) -> None:
    expected = joined(parts)
    shuffled = parts + chance.choices(parts, k=chance.randrange(4))
    chance.shuffle(shuffled)
    groups = [joined(shuffled[start : start + size]) for start in range(0, len(shuffled), size)]
    assert joined(groups) == expected


def test_the_later_value_counts_and_of_equal_times_the_greater() -> None:
    first, second = RunAnnotations({"a": (2, "new")}, {}), RunAnnotations({"a": (1, "old")}, {})
    assert join(first, second).fields == {"a": (2, "new")}
    assert join(RunAnnotations({"a": (1, "x")}, {}), RunAnnotations({"a": (1, "y")}, {})).fields == {"a": (1, "y")}


def test_the_newest_progress_counts() -> None:
    done = join(RunAnnotations({}, {}, 0, (5, 10, 10, "all")), RunAnnotations({}, {}, 0, (6, 2, 10, "from the beginning")))
    assert done.progress == (6, 2, 10, "from the beginning")


def test_more_than_the_limit_is_left_out_and_said() -> None:
    many = joined([RunAnnotations({f"n{number:02}": (1, "v")}, {}) for number in range(MAX_FIELDS + 3)])
    assert len(many.fields) == MAX_FIELDS
    assert many.excess == 1


def test_a_run_belongs_to_the_first_execution_that_ended_after_it_started() -> None:
    executions = [ExecutionRow(1, 100, False), ExecutionRow(2, 200, False), ExecutionRow(3, None, True)]
    assert [row_of(at, executions) for at in (50, 100, 150, 250)] == [1, 1, 2, 3]
    assert row_of(5, [ExecutionRow(3, 10, True)]) == 3


def test_the_limits_and_the_ids_that_are_known() -> None:
    assert (run_annotations.MAX_FIELDS, run_annotations.MAX_KEY, run_annotations.MAX_VALUE) == (20, 50, 200)
    assert run_annotations.ID_NAMES == ("trace_id", "sentry_event_id")
    assert RunAnnotations({}, {}).excess == 0


def test_what_only_one_of_both_says_is_kept() -> None:
    said = RunAnnotations({}, {"trace_id": (1, "ab")}, 3, (1, 1, 2, ""))
    assert join(said, NOTHING) == join(NOTHING, said) == said


def test_as_many_fields_as_there_may_be_are_not_too_many() -> None:
    full = joined([RunAnnotations({f"n{number:02}": (1, "v")}, {}) for number in range(MAX_FIELDS)])
    assert (len(full.fields), full.excess) == (MAX_FIELDS, 0)


def test_only_earlier_executions_that_ended_take_a_run() -> None:
    assert row_of(50, [ExecutionRow(1, None, False), ExecutionRow(2, 100, True)]) == 2
    assert row_of(50, [ExecutionRow(1, 200, False), ExecutionRow(2, 100, True)]) == 1
    assert row_of(50, [ExecutionRow(1, None, False), ExecutionRow(3, 60, False), ExecutionRow(2, 55, True)]) == 3
