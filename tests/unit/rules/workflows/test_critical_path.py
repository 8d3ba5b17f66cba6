# SPDX-License-Identifier: AGPL-3.0-or-later
"""The critical path is a chain of links, and no other chain ran longer."""

from __future__ import annotations

from hypothesis import given, settings

from tests.unit.rules.workflows.conftest import link, task, workflows
from z4j.rules.workflows.critical_path import critical_path
from z4j.rules.workflows.workflow_graph import Workflow, WorkflowLink, WorkflowTask, make_workflow


@given(workflows())
@settings(deadline=None)
def test_it_is_a_chain_and_its_sum_is_the_greatest(workflow: Workflow) -> None:
    path = critical_path(workflow)
    linked = {(one.source, one.target) for one in workflow.links if one.kind != "group"}
    assert all(pair in linked for pair in zip(path.ids, path.ids[1:], strict=False))
    runtime = {one.id: one.runtime_us or 0 for one in workflow.tasks}
    assert sum(runtime[id] for id in path.ids) == path.runtime_us
    longest: dict[int, int] = {}
    for one in reversed(workflow.tasks):
        longest[one.id] = runtime[one.id] + max((longest[target] for source, target in linked if source == one.id), default=0)
    assert path.runtime_us == max(longest.values(), default=0)


def test_the_slower_branch_is_critical() -> None:
    tasks = [task(1, runtime_us=10), task(2, runtime_us=5), task(3, runtime_us=9), task(4, runtime_us=1)]
    workflow = make_workflow(tasks, [link(1, 2), link(1, 3), link(2, 4), link(3, 4, "depends_on")])
    assert critical_path(workflow).ids == (1, 3, 4)
    assert critical_path(workflow).runtime_us == 20


def test_without_durations_there_is_none() -> None:
    assert critical_path(make_workflow([task(1, runtime_us=None), task(2, runtime_us=0)], [link(1, 2)])).ids == ()
    assert critical_path(make_workflow([], [])).ids == ()


def test_of_equal_chains_the_earlier_ids_are_shown() -> None:
    tasks = [task(1, runtime_us=3), task(2, runtime_us=3), task(3, runtime_us=1), task(4, runtime_us=1)]
    assert critical_path(make_workflow(tasks, [link(1, 3), link(2, 3), link(1, 4), link(2, 4)])).ids == (1, 3)


def test_a_sender_that_is_not_known_is_in_no_chain() -> None:
    sender = WorkflowTask(-1, "g", "unknown sender", "celery", "unknown", 0, is_known=False)
    workflow = make_workflow([sender, task(1), task(2)], [WorkflowLink(-1, 1, "group"), WorkflowLink(-1, 2, "group"), link(1, 2)])
    assert critical_path(workflow).ids == (1, 2)
