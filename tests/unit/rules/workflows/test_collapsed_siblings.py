# SPDX-License-Identifier: AGPL-3.0-or-later
"""A large workflow is folded to at most 60 boxes; nothing is lost, and the task that is shown keeps its own box."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as some

from tests.unit.rules.workflows.conftest import link, task, workflows
from z4j.rules.tasks.states import STATES
from z4j.rules.workflows.collapsed_siblings import MOST_BOXES, Box, fold_workflow, state_counts
from z4j.rules.workflows.workflow_graph import Workflow, WorkflowLink, WorkflowTask, make_workflow


@given(workflows(), some.integers(0, 90), some.integers(1, 20))
@settings(deadline=None)
def test_every_task_is_in_one_box_or_counted(workflow: Workflow, current: int, most: int) -> None:
    folded = fold_workflow(workflow, current, most)
    assert len(folded.boxes) <= most
    ids = [one.id for box in folded.boxes for one in box.tasks]
    assert len(ids) == len(set(ids))
    assert len(ids) + folded.left_out == len(workflow.tasks)
    assert all(link.source < link.target < len(folded.boxes) for link in folded.links)
    for box in folded.boxes:
        if any(one.id == current for one in box.tasks):
            assert len(box.tasks) == 1
        if len(box.tasks) > 1 and not box.is_mixed:
            assert len({one.name for one in box.tasks}) == 1
    if len(workflow.tasks) <= most:
        assert len(folded.boxes) == len(workflow.tasks), "a small workflow is not folded"


def test_like_siblings_become_one_box_and_so_do_their_children() -> None:
    tasks = [task(0, "order")]
    tasks += [task(id, "charge", "failed" if id < 4 else "succeeded", id) for id in range(1, 41)]
    tasks += [task(id + 100, "mail") for id in range(1, 41)]
    workflow = make_workflow(tasks, [link(0, id) for id in range(1, 41)] + [link(id, id + 100) for id in range(1, 41)])
    folded = fold_workflow(workflow, 0)
    assert [(len(box.tasks), box.tasks[0].name) for box in folded.boxes] == [(1, "order"), (40, "charge"), (40, "mail")]
    assert [(one.source, one.target) for one in folded.links] == [(0, 1), (1, 2)]
    charge = folded.boxes[1]
    assert (charge.state, charge.count(("failed",)), charge.runtime_us) == ("failed", 3, 40)


def test_the_current_task_is_not_folded() -> None:
    workflow = make_workflow([task(id, "charge") for id in range(100)], [link(0, id) for id in range(1, 100)])
    assert [len(box.tasks) for box in fold_workflow(workflow, 7).boxes] == [1, 98, 1]


def test_leaves_of_many_names_become_one_box() -> None:
    workflow = make_workflow([task(0)] + [task(id, f"n{id}") for id in range(1, 100)], [link(0, id) for id in range(1, 100)])
    folded = fold_workflow(workflow, 0)
    assert [(len(box.tasks), box.is_mixed) for box in folded.boxes] == [(1, False), (99, True)]


def test_of_a_long_chain_the_nearest_tasks_are_shown() -> None:
    workflow = make_workflow([task(id, f"n{id}") for id in range(200)], [link(id, id + 1) for id in range(199)])
    folded = fold_workflow(workflow, 100)
    assert len(folded.boxes) == MOST_BOXES
    assert folded.left_out == 140
    ids = [box.tasks[0].id for box in folded.boxes]
    assert ids == list(range(ids[0], ids[0] + 60))
    assert 100 in ids


def test_a_chain_is_cut_at_the_end_that_is_farther_away() -> None:
    workflow = make_workflow([task(id, f"n{id}") for id in range(9)], [link(id, id + 1) for id in range(8)])
    shown = {current: [box.tasks[0].id for box in fold_workflow(workflow, current, 3).boxes] for current in (0, 4, 8, 99)}
    assert shown == {0: [0, 1, 2], 4: [3, 4, 5], 8: [6, 7, 8], 99: [0, 1, 2]}, "99 is not in the workflow: its start is shown"


def test_of_a_wide_workflow_as_many_tasks_are_shown_as_there_may_be() -> None:
    """Ten children of other names, each with a child of its own, so that none is like another."""
    tasks = [task(0), *[task(id, f"n{id}") for id in range(1, 21)]]
    links = [*[link(0, id) for id in range(1, 11)], *[link(id, id + 10) for id in range(1, 11)]]
    folded = fold_workflow(make_workflow(tasks, links), 0, 5)
    assert [box.tasks[0].id for box in folded.boxes] == [0, 1, 2, 3, 4]
    assert [(one.source, one.target) for one in folded.links] == [(0, 1), (0, 2), (0, 3), (0, 4)]
    assert folded.left_out == 16


def test_two_names_in_a_box_are_already_mixed() -> None:
    workflow = make_workflow([task(0), task(1, "a"), task(2, "b")], [link(0, 1), link(0, 2)])
    assert [(len(box.tasks), box.is_mixed) for box in fold_workflow(workflow, 0, 2).boxes] == [(1, False), (2, True)]
    assert not Box((task(1),)).is_mixed


def test_states_are_counted_worst_first() -> None:
    states = ["succeeded", "failed", "succeeded", "running", "lost"]
    assert state_counts([task(number, state=state) for number, state in enumerate(states)]) == [
        ("failed", 1), ("lost", 1), ("running", 1), ("succeeded", 2),
    ]  # fmt: skip
    assert Box((task(1, runtime_us=None),)).runtime_us is None


def test_the_state_of_a_box_is_the_one_that_needs_attention_most() -> None:
    order = ["failed", "lost", "rejected", "expired", "retrying", "running", "received", "queued", "scheduled", "cancelled", "succeeded"]
    assert sorted(order) == sorted(STATES), "every state has its place"
    for place, state in enumerate(order):
        assert Box(tuple(task(number, state=other) for number, other in enumerate(reversed(order[place:])))).state == state
    counted = state_counts([task(number, state=state) for number, state in enumerate([*reversed(order), "zzz", "unknown"])])
    assert counted == [(state, 1) for state in (*order, "unknown", "zzz")]
    assert Box((task(1, state="unknown"), task(2, state="succeeded"))).state == "succeeded"


def test_steps_are_taken_one_after_the_other() -> None:
    tasks = [task(0, "root"), *[task(id, f"n{id % 3}") for id in range(1, 10)], task(20, "child")]
    workflow = make_workflow(tasks, [*[link(0, id) for id in range(1, 10)], link(1, 20)])
    sizes = {most: [len(box.tasks) for box in fold_workflow(workflow, 0, most).boxes] for most in (11, 10, 5, 4)}
    assert sizes == {11: [1] * 11, 10: [1, 3, 3, 3, 1], 5: [1, 3, 3, 3, 1], 4: [1, 1, 8, 1]}
    least = fold_workflow(workflow, 20, 2)
    assert [[one.name for one in box.tasks] for box in least.boxes] == [["n1"], ["child"]]
    assert least.left_out == 9
    assert [(one.source, one.target, one.kind) for one in least.links] == [(0, 1, "parent")]
    assert MOST_BOXES == 60


def test_senders_that_are_not_known_are_boxes_of_their_own() -> None:
    senders = [WorkflowTask(-id, f"g{id}", "unknown sender", "celery", "unknown", 0, is_known=False) for id in (1, 2)]
    tasks = [task(id, "charge") for id in range(100)]
    links = [WorkflowLink(-1 if id < 50 else -2, id, "group") for id in range(100)]
    folded = fold_workflow(make_workflow([*senders, *tasks], links), 7)
    assert sorted(len(box.tasks) for box in folded.boxes) == [1, 1, 1, 49, 50]
    assert {box.tasks[0].id for box in folded.boxes if not box.tasks[0].is_known} == {-1, -2}
