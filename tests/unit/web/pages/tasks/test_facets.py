# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import pytest

from z4j.rules.tasks.states import STATES
from z4j.store.errors.top_groups import TopGroup
from z4j.store.tasks.counters import Counts
from z4j.store.tasks.tasks import TaskPage
from z4j.web.pages.tasks.facets import count_of_error, facets, summary
from z4j.web.pages.tasks.filters import Filters

AT = 1_795_000_000_000_000
EVERY = set(STATES)
COUNTS = Counts(by_state=[("succeeded", 90), ("failed", 10)], by_name=[("a.b", 60), ("a.c", 40)])


@pytest.mark.parametrize(
    ("filters", "states", "counts", "page", "is_first", "says"),
    [
        (Filters(), EVERY, COUNTS, TaskPage([], None, None, None), True, "100 tasks"),
        (Filters(state=("failed",)), {"failed"}, COUNTS, TaskPage([], None, None, None), True, "10 failed of 100"),
        (Filters(q="-state:failed"), EVERY - {"failed"}, COUNTS, TaskPage([], None, None, None), True, "90 match of 100"),
        (Filters(q="x"), EVERY, None, TaskPage([], None, None, None), True, "0 tasks"),
        (Filters(q="x"), EVERY, None, TaskPage([], "1-1", None, AT), True, "≥ 0, searched back to 2026-11-18 11:06:40.000 UTC"),
        (Filters(q="x"), EVERY, None, TaskPage([], "1-1", None, AT), False, "newest first; no count for this combination of filters"),
        (Filters(q="order:ran"), EVERY, COUNTS, TaskPage([], None, None, None, 7), True, "the 0 longest of 7 tasks"),
        (
            Filters(q="order:ran"), EVERY, COUNTS, TaskPage([], "1-1", None, AT, 7), True,
            "the 0 longest of 7 tasks reported since 2026-11-18 11:06:40.000 UTC",
        ),
    ],
)  # fmt: skip
def test_how_many_match(filters: Filters, states: set[str], counts: Counts | None, page: TaskPage, is_first: bool, says: str) -> None:
    assert summary(filters, states, counts, page, is_first=is_first) == says


def test_the_tasks_of_an_error_are_counted_where_it_counts_what_is_chosen() -> None:
    bad, groups = ("failed", "lost", "rejected"), [TopGroup(5, "Error", "", "unresolved", AT, 168, 3)]
    page = TaskPage([], "1-1", None, AT)
    assert count_of_error(Filters(state=bad, error_group="5"), groups) == 168
    assert count_of_error(Filters(state=("failed",), error_group="5"), groups) is None
    assert count_of_error(Filters(state=bad, error_group="6"), groups) is None
    says = summary(Filters(state=bad, error_group="5"), set(bad), None, page, is_first=True, of_error=168)
    assert says == "168 tasks that failed with this error"


def test_a_chosen_value_replaces_what_the_query_says_of_its_field() -> None:
    group = next(group for group in facets(Filters(q="name:a.* ran:>2s"), COUNTS) if group.title == "Task name")
    assert [(choice.word, choice.href, choice.count) for choice in group.choices] == [
        ("a.b", "/tasks?name=a.b&q=ran:%3E2s", 60), ("a.c", "/tasks?name=a.c&q=ran:%3E2s", 40),
    ]  # fmt: skip


def test_errors_are_offered_with_counts_where_they_count_what_is_chosen() -> None:
    groups = [TopGroup(id, f"Error{id}", "", "unresolved", AT, 9 - id, 0) for id in range(1, 12)]

    def found(filters: Filters) -> list[tuple[str, str, bool, int | None]]:
        group = next((group for group in facets(filters, None, groups) if group.title == "Error"), None)
        return [(of.word, of.href, of.is_on, of.count) for of in (*group.choices, *group.more)] if group else []

    assert found(Filters(state=("failed",)))[0] == ("Error1", "/tasks?state=failed&error_group=1", False, None)
    whole = ("failed", "lost", "rejected")
    assert found(Filters(state=whole))[1] == ("Error2", "/tasks?state=failed,lost,rejected&error_group=2", False, 7)
    assert len(found(Filters(state=whole))) == 11
    assert found(Filters(error_group="3"))[0] == ("Error3", "/tasks", True, None)
    assert found(Filters(error_group="99"))[0] == ("error 99", "/tasks", True, None)
    assert [group.title for group in facets(Filters(), None)] == ["State", "Time"]
