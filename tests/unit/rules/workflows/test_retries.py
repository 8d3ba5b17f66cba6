# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every failed task runs once more: by its own retry, or by that of the task before it."""

from __future__ import annotations

from hypothesis import given, settings

from tests.unit.rules.workflows.conftest import link, task, workflows
from z4j.rules.tasks.states import ENDED_BADLY
from z4j.rules.workflows.retries import RetryChoice, choose_retries
from z4j.rules.workflows.workflow_graph import Workflow, make_workflow


def test_the_rest_of_a_failed_chain_follows_its_first_failed_task() -> None:
    chain = make_workflow([task(1), *[task(id, state="failed") for id in (2, 3, 4)]], [link(1, 2), link(2, 3), link(3, 4)])
    assert choose_retries(chain) == RetryChoice((2,), 2)


def test_failed_members_of_a_group_are_retried_each() -> None:
    group = make_workflow([task(1), task(2, state="failed"), task(3), task(4, state="lost")], [link(1, 2), link(1, 3), link(1, 4)])
    assert choose_retries(group) == RetryChoice((2, 4), 0)


def test_a_failed_grandchild_behind_a_success_follows_too() -> None:
    tasks = [task(1, state="failed"), task(2), task(3, state="failed")]
    assert choose_retries(make_workflow(tasks, [link(1, 2), link(2, 3)])) == RetryChoice((1,), 1)


def test_a_task_that_was_retried_is_left_out() -> None:
    tasks = [task(1, state="failed"), task(2), task(3, state="failed"), task(4, state="failed")]
    assert choose_retries(make_workflow(tasks, [link(1, 2, "retry_of"), link(3, 4, "retry_of")])) == RetryChoice((4,), 0)


@given(workflows())
@settings(deadline=None)
def test_no_chosen_task_was_created_by_another(workflow: Workflow) -> None:
    choice = choose_retries(workflow)
    states = {one.id: one.state for one in workflow.tasks}
    assert all(states[id] in ENDED_BADLY for id in choice.ids)
    below = set(choice.ids)
    for one in workflow.tasks:
        if any(parent.kind == "parent" and parent.target == one.id and parent.source in below for parent in workflow.links):
            assert one.id not in choice.ids
            below.add(one.id)
