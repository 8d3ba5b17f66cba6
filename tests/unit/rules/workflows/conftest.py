# SPDX-License-Identifier: AGPL-3.0-or-later
"""Generated workflows: any links, circles and unknown tasks included."""

from __future__ import annotations

from hypothesis import strategies as some

from z4j.rules.tasks.states import STATES
from z4j.rules.workflows.workflow_graph import KINDS, Workflow, WorkflowLink, WorkflowTask, make_workflow


def task(
    id: int, name: str = "shop.charge", state: str = "succeeded", runtime_us: int | None = 1_000, at: int | None = None
) -> WorkflowTask:
    return WorkflowTask(id, f"t{id}", name, "celery", state, id if at is None else at, runtime_us)


def link(source: int, target: int, kind: str = "parent") -> WorkflowLink:
    return WorkflowLink(source, target, kind)


@some.composite
def parts(draw: some.DrawFn) -> tuple[list[WorkflowTask], list[WorkflowLink]]:
    count = draw(some.integers(0, 30))
    ids = some.integers(0, count)
    tasks = [
        task(
            id, draw(some.sampled_from("abc")), draw(some.sampled_from(sorted(STATES))), draw(some.none() | some.integers(0, 9)), draw(ids)
        )
        for id in range(count)
    ]
    links = draw(some.lists(some.builds(WorkflowLink, ids, ids, some.sampled_from(KINDS)), max_size=50))
    return tasks, links


@some.composite
def workflows(draw: some.DrawFn) -> Workflow:
    return make_workflow(*draw(parts()))
