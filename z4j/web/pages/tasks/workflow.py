# SPDX-License-Identifier: AGPL-3.0-or-later
"""The workflow of a task: one drawing of all tasks that belong together, their list, and the retry of those that failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from z4j.formats import duration, middle, number, plural
from z4j.operations.commands import find_task
from z4j.rules.permissions import may_act
from z4j.rules.tasks.states import ENDED_BADLY
from z4j.rules.workflows.collapsed_siblings import MOST_BOXES, Box, fold_workflow, state_counts
from z4j.rules.workflows.critical_path import CriticalPath, critical_path
from z4j.rules.workflows.layout import PlacedBox, lay_out
from z4j.rules.workflows.retries import RetryChoice, choose_retries
from z4j.rules.workflows.workflow_graph import WorkflowTask
from z4j.store.workflows.workflow_tasks import WorkflowRead, read_workflow
from z4j.web.frame import export
from z4j.web.frame.icons import look
from z4j.web.frame.render import Shell, render
from z4j.web.frame.shell import make_shell
from z4j.web.services import services

ON_TASK_PAGE: Final = 24
"""Boxes on the page of a task; the workflow's own page has more."""
NAME_LENGTH: Final = 21
NARROW: Final = 2
"""Columns that a phone shows at a readable size; it lists the tasks of a wider workflow."""


@dataclass(frozen=True, slots=True)
class BoxView:
    """A box with its texts. `text` is complete; `title` and `line` fit the box. `href` is "" of a sender that is unknown."""

    place: PlacedBox
    href: str
    state: str
    title: str
    line: str
    text: str
    is_current: bool
    is_critical: bool
    is_folded: bool


@dataclass(frozen=True, slots=True)
class LinkView:
    """A line; those of the longest chain of durations are marked."""

    path: str
    kind: str
    is_critical: bool


@dataclass(frozen=True, slots=True)
class Group:
    """The tasks of one box, for the list below the drawing. `title` is empty for a single task."""

    anchor: str
    title: str
    tasks: tuple[WorkflowTask, ...]


@dataclass(frozen=True, slots=True)
class WorkflowView:
    """All that the macro `workflow` shows. `left_out` counts the tasks that are in no box."""

    href: str
    width: int
    height: int
    is_narrow: bool
    boxes: tuple[BoxView, ...]
    links: tuple[LinkView, ...]
    counts: tuple[tuple[str, int], ...]
    total: str
    chain: str
    summary: str
    left_out: int
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class WorkflowPage:
    """The context of tasks/workflow.html."""

    shell: Shell
    id: int
    name: str
    view: WorkflowView
    current: int
    critical: frozenset[int]
    retry: RetryChoice
    may_retry: bool


async def workflow_page(request: Request) -> Response:
    """GET /tasks/{id}/workflow."""
    server = services(request)
    task = await find_task(server.store, request.path_params["id"])
    found = await read_workflow(server.store, task.row.id)
    page = WorkflowPage(
        shell=await make_shell(request, "tasks"),
        id=task.row.id,
        name=task.row.name or task.row.task_id,
        view=make_view(found, task.row.id),
        current=task.row.id,
        critical=frozenset(critical_path(found.workflow).ids),
        retry=choose_retries(found.workflow),
        may_retry=may_act(request.scope["identity"].role, "retry_task"),
    )
    return render(request, "tasks/workflow.html", page)


async def workflow_json(request: Request) -> Response:
    """GET /tasks/{id}/workflow.json."""
    server = services(request)
    task = await find_task(server.store, request.path_params["id"])
    found = await read_workflow(server.store, task.row.id)
    return export.to_json(
        {
            "tasks": [export.plain(one) for one in found.workflow.tasks],
            "links": [export.plain(one) for one in found.workflow.links],
            "critical_path": export.plain(critical_path(found.workflow)),
            "is_complete": found.is_complete,
        }
    )


def make_view(found: WorkflowRead, current: int, most: int = MOST_BOXES) -> WorkflowView:
    """Returns the drawing of a workflow with its texts, from the point of view of one of its tasks."""
    workflow = found.workflow
    critical = critical_path(workflow)
    on_path = set(critical.ids)
    folded = fold_workflow(workflow, current, most)
    drawing = lay_out(folded)
    href = f"/tasks/{current}/workflow"
    is_marked = [len(on_path) > 1 and any(task.id in on_path for task in box.tasks) for box in folded.boxes]
    steps = set(zip(critical.ids, critical.ids[1:], strict=False))
    box_of = {task.id: index for index, box in enumerate(folded.boxes) for task in box.tasks}
    marked = {(box_of[one], box_of[other]) for one, other in steps if one in box_of and other in box_of}
    known = [task for task in workflow.tasks if task.is_known]
    total = plural(len(known), "task") if found.is_complete else f"at least {plural(len(known), 'task')}"
    counts = tuple(state_counts(known))
    chain = _chain(critical)
    states = ", ".join(f"{number(count)} {state}" for state, count in counts)
    return WorkflowView(
        href=href,
        width=drawing.width,
        height=drawing.height,
        is_narrow=max((place.column for place in drawing.boxes), default=0) < NARROW,
        boxes=tuple(
            _box(box, place, index, href, current, is_critical)
            for index, (box, place, is_critical) in enumerate(zip(folded.boxes, drawing.boxes, is_marked, strict=True))
        ),
        links=tuple(
            LinkView(one.path, one.link.kind, (one.link.source, one.link.target) in marked)
            for one in sorted(drawing.links, key=lambda one: (one.link.source, one.link.target) in marked)
        ),
        counts=counts,
        total=total,
        chain=chain,
        summary=f"Workflow of {total}: {states}.{f' {chain}.' if chain else ''}",
        left_out=folded.left_out,
        groups=tuple(
            Group(f"group-{index}", _title(box) if len(box.tasks) > 1 else "", box.tasks)
            for index, box in enumerate(folded.boxes)
            if box.tasks[0].is_known
        ),
    )


def _chain(critical: CriticalPath) -> str:
    if len(critical.ids) < 2:
        return ""
    return f"Longest chain: {plural(len(critical.ids), 'task')}, {duration(critical.runtime_us)}"


def _title(box: Box) -> str:
    first = box.tasks[0]
    name = first.name or first.task_id
    if len(box.tasks) == 1:
        return name
    return f"{number(len(box.tasks))} × {'several names' if box.is_mixed else name}"


def _box(box: Box, place: PlacedBox, index: int, href: str, current: int, is_critical: bool) -> BoxView:
    first, is_folded = box.tasks[0], len(box.tasks) > 1
    word = look(box.state).word
    ran = "" if box.runtime_us is None else duration(box.runtime_us)
    failed = box.count(ENDED_BADLY)
    if not first.is_known:
        line, href = "of this group", ""
        text = f"The sender of group {first.task_id} is unknown: no agent reported it"
    elif not is_folded:
        line = f"{word} · {ran}" if ran else word
        text = f"{_title(box)}, {word}{f', ran {ran}' if ran else ''}"
        href = f"/tasks/{first.id}"
    else:
        line = f"{number(failed)} failed" if failed else f"{number(box.count((box.state,)))} {word}"
        line += f" · up to {ran}" if ran else ""
        text = f"{_title(box)}: {', '.join(f'{number(count)} {state}' for state, count in state_counts(box.tasks))}"
        text += f", ran up to {ran}" if ran else ""
        href = f"{href}#group-{index}"
    return BoxView(place, href, box.state, middle(_title(box), NAME_LENGTH), line, text, first.id == current, is_critical, is_folded)
