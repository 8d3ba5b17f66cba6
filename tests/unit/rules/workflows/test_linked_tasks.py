# SPDX-License-Identifier: AGPL-3.0-or-later
"""Tasks are ordered by their links, and no link leads back."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as some

from tests.unit.rules.workflows.conftest import link, parts, task
from z4j.rules.workflows.linked_tasks import WorkflowLink, WorkflowTask, make_workflow


@given(parts())
def test_every_source_precedes_its_targets(given_parts: tuple[list[WorkflowTask], list[WorkflowLink]]) -> None:
    tasks, links = given_parts
    workflow = make_workflow(tasks, links)
    assert sorted(one.id for one in workflow.tasks) == sorted(one.id for one in tasks)
    place = {one.id: number for number, one in enumerate(workflow.tasks)}
    for one in workflow.links:
        assert place[one.source] < place[one.target]


@given(parts(), some.randoms())
def test_the_order_of_what_is_given_does_not_matter(
    given_parts: tuple[list[WorkflowTask], list[WorkflowLink]], chance: random.Random
) -> None:
    tasks, links = given_parts
    before = make_workflow(tasks, links)
    chance.shuffle(tasks)
    chance.shuffle(links)
    assert make_workflow(tasks, links) == before


def test_links_are_kept_unless_they_close_a_circle() -> None:
    workflow = make_workflow([task(1), task(2), task(3)], [link(1, 2), link(2, 3), link(3, 1), link(2, 2), link(2, 9), link(1, 2)])
    assert workflow.links == (link(1, 2), link(2, 3))
    assert [one.id for one in workflow.tasks] == [1, 2, 3]


def test_a_long_chain_is_no_problem() -> None:
    count = 5_000
    workflow = make_workflow([task(id) for id in range(count)], [link(id, id + 1) for id in range(count - 1)])
    assert len(workflow.links) == count - 1


def test_earlier_tasks_come_first_where_no_link_decides() -> None:
    assert [one.id for one in make_workflow([task(2, at=1), task(1, at=5), task(3, at=3)], []).tasks] == [2, 3, 1]
