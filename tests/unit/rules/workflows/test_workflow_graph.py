# SPDX-License-Identifier: AGPL-3.0-or-later
"""Tasks are ordered by their links, and no link leads back."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as some

from tests.unit.rules.workflows.conftest import link, parts, task
from z4j.rules.workflows.workflow_graph import KINDS, WorkflowLink, WorkflowTask, make_workflow, unknown_senders


@given(parts())
@settings(deadline=None)
def test_every_source_precedes_its_targets(given_parts: tuple[list[WorkflowTask], list[WorkflowLink]]) -> None:
    tasks, links = given_parts
    workflow = make_workflow(tasks, links)
    assert sorted(one.id for one in workflow.tasks) == sorted(one.id for one in tasks)
    place = {one.id: number for number, one in enumerate(workflow.tasks)}
    for one in workflow.links:
        assert place[one.source] < place[one.target]


@given(parts(), some.randoms())
@settings(deadline=None)
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


def test_two_ways_to_a_task_are_no_circle() -> None:
    links = (link(1, 2), link(1, 3), link(2, 4), link(3, 4))
    assert make_workflow([task(id) for id in range(1, 5)], links).links == links


def test_a_long_chain_is_no_problem() -> None:
    count = 5_000
    workflow = make_workflow([task(id) for id in range(count)], [link(id, id + 1) for id in range(count - 1)])
    assert len(workflow.links) == count - 1


def test_earlier_tasks_come_first_where_no_link_decides() -> None:
    assert [one.id for one in make_workflow([task(2, at=1), task(1, at=5), task(3, at=3)], []).tasks] == [2, 3, 1]


def test_members_of_a_group_without_a_sender_have_one_that_is_not_known() -> None:
    tasks = {id: task(id, at=id) for id in range(1, 9)}
    groups = {"b": [5, 6], "a": [2, 3, 99], "one": [4], "sent": [7, 8], "none": [98]}
    made, links = unknown_senders(tasks, [link(1, 7), link(2, 5, "depends_on"), link(97, 3)], groups)
    assert [(one.id, one.task_id, one.at, one.engine, one.name, one.state, one.is_known) for one in made] == [
        (-1, "a", 2, tasks[2].engine, "unknown sender", "unknown", False),
        (-2, "b", 5, tasks[5].engine, "unknown sender", "unknown", False),
    ]  # fmt: skip
    assert links == [WorkflowLink(-1, 2, "group"), WorkflowLink(-1, 3, "group"), WorkflowLink(-2, 5, "group"), WorkflowLink(-2, 6, "group")]
    assert unknown_senders({}, [], {}) == ([], [])


def test_the_earliest_member_says_when_a_group_began() -> None:
    tasks = {1: task(1, at=9), 2: task(2, at=3), 3: task(3, at=3)}
    [made], _ = unknown_senders(tasks, [], {"g": [1, 2, 3]})
    assert made.at == 3
    workflow = make_workflow([*tasks.values(), made], [WorkflowLink(-1, id, "group") for id in tasks])
    assert [one.id for one in workflow.tasks] == [-1, 2, 3, 1]


def test_kinds_and_what_a_task_is_unless_said_otherwise() -> None:
    assert KINDS == ("parent", "depends_on", "retry_of", "group")
    assert WorkflowTask(1, "t", "", "", "failed", 0).is_known
    assert make_workflow([task(1)], [link(1, 1)]).links == ()
