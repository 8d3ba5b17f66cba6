# SPDX-License-Identifier: AGPL-3.0-or-later
"""Folds a large workflow: like siblings become one box. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from z4j.rules.tasks.states import ENDED_BADLY
from z4j.rules.workflows.workflow_graph import Workflow, WorkflowTask

MOST_BOXES: Final = 60
_WORST_FIRST: Final = (
    *ENDED_BADLY, "retrying", "running", "received", "queued", "scheduled", "cancelled", "succeeded",
)  # fmt: skip
_URGENCY: Final = {state: place for place, state in enumerate(_WORST_FIRST)}


@dataclass(frozen=True, slots=True)
class Box:
    """One task, or several that follow the same tasks; all of one name unless `is_mixed`."""

    tasks: tuple[WorkflowTask, ...]
    is_mixed: bool = False

    @property
    def state(self) -> str:
        """The state that needs attention most."""
        return min((task.state for task in self.tasks), key=_urgency)

    @property
    def runtime_us(self) -> int | None:
        """The longest duration, None where none is known."""
        return max((task.runtime_us for task in self.tasks if task.runtime_us is not None), default=None)

    def count(self, states: Iterable[str]) -> int:
        """Returns the number of its tasks in these states."""
        return sum(task.state in states for task in self.tasks)


@dataclass(frozen=True, slots=True, order=True)
class BoxLink:
    """A link between two boxes by their indexes; the source has the smaller one."""

    source: int
    target: int
    kind: str


@dataclass(frozen=True, slots=True)
class FoldedWorkflow:
    """At most MOST_BOXES boxes; `left_out` is the number of tasks in none of them."""

    boxes: tuple[Box, ...]
    links: tuple[BoxLink, ...]
    left_out: int = 0


def fold_workflow(workflow: Workflow, current: int, most: int = MOST_BOXES) -> FoldedWorkflow:
    """Folds tasks with the same sources and the same name, then leaves of any name, then leaves out what is farthest from `current`.

    Each step is taken only where there are more than `most` boxes. The task `current` (a row id) is always a box of its own.
    """
    sources: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for link in workflow.links:
        sources[link.target].append((link.source, link.kind))
    is_leaf = {task.id for task in workflow.tasks} - {link.source for link in workflow.links}
    for step in ("single", "names", "leaves"):
        folded = _fold(workflow, sources, current, step, is_leaf)
        if len(folded.boxes) <= most:
            return folded
    return _nearest(folded, current, most)


def _fold(workflow: Workflow, sources: dict[int, list[tuple[int, str]]], current: int, step: str, leaves: set[int]) -> FoldedWorkflow:
    box_of: dict[int, int] = {}
    members: list[list[WorkflowTask]] = []
    known: dict[Hashable, int] = {}
    for task in workflow.tasks:
        origin = frozenset((box_of[source], kind) for source, kind in sources[task.id])
        key: Hashable
        if step == "single" or task.id == current or not task.is_known:
            key = task.id
        elif step == "leaves" and task.id in leaves:
            key = (origin, None)
        else:
            key = (origin, task.name)
        if key not in known:
            known[key] = len(members)
            members.append([])
        box_of[task.id] = known[key]
        members[known[key]].append(task)
    links = sorted({BoxLink(box_of[link.source], box_of[link.target], link.kind) for link in workflow.links})
    boxes = tuple(Box(tuple(tasks), len({task.name for task in tasks}) > 1) for tasks in members)
    return FoldedWorkflow(boxes, tuple(links))


def _nearest(folded: FoldedWorkflow, current: int, most: int) -> FoldedWorkflow:
    """Keeps the boxes with the fewest links between them and the current task, or the first box if the current task is not in one."""
    neighbors: dict[int, list[int]] = defaultdict(list)
    for link in folded.links:
        neighbors[link.source].append(link.target)
        neighbors[link.target].append(link.source)
    start = next((index for index, box in enumerate(folded.boxes) if box.tasks[0].id == current), 0)
    reached = [start]
    seen = {start}
    for index in reached:
        for other in neighbors[index]:
            if other not in seen and len(reached) < most:
                seen.add(other)
                reached.append(other)
    kept = sorted(reached)
    place = {index: number for number, index in enumerate(kept)}
    return FoldedWorkflow(
        tuple(folded.boxes[index] for index in kept),
        tuple(BoxLink(place[link.source], place[link.target], link.kind) for link in folded.links if {link.source, link.target} <= seen),
        sum(len(box.tasks) for index, box in enumerate(folded.boxes) if index not in seen),
    )


def state_counts(tasks: Sequence[WorkflowTask]) -> list[tuple[str, int]]:
    """Returns the number of tasks per state, those that need attention first."""
    counts = Counter(task.state for task in tasks)
    return sorted(counts.items(), key=lambda pair: (_urgency(pair[0]), pair[0]))


def _urgency(state: str) -> int:
    """Smaller for a state that needs attention more. Unknown states come last."""
    return _URGENCY.get(state, len(_URGENCY))
