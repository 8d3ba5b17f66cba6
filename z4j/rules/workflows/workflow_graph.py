# SPDX-License-Identifier: AGPL-3.0-or-later
"""A workflow: tasks, and the links between them that were reported. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final

KINDS: Final = ("parent", "depends_on", "retry_of", "group")
"""`parent`: the source created the target. `depends_on`: the target waits for the source. `retry_of`: the target repeats the source.
`group`: the target is a member of a group whose sender, the source, is unknown."""
UNKNOWN: Final = "unknown"
"""The state of a sender that was not reported."""


@dataclass(frozen=True, slots=True)
class WorkflowTask:
    """One task. `at` is when it was first reported, `runtime_us` how long it ran; microseconds, None if unknown.
    `is_known` is False for the sender of a group that was not reported: its ID is negative, its `task_id` that of the group."""

    id: int
    task_id: str
    name: str
    engine: str
    state: str
    at: int
    runtime_us: int | None = None
    is_known: bool = True


@dataclass(frozen=True, slots=True, order=True)
class WorkflowLink:
    """From the task that came first to the one that followed it, by their row ids."""

    source: int
    target: int
    kind: str


@dataclass(frozen=True, slots=True)
class Workflow:
    """Tasks in an order in which every source precedes its targets. The links form no circle."""

    tasks: tuple[WorkflowTask, ...]
    links: tuple[WorkflowLink, ...]


def make_workflow(tasks: Iterable[WorkflowTask], links: Iterable[WorkflowLink]) -> Workflow:
    """Orders the tasks. Links of unknown tasks, and those that would close a circle, are left out: ids come from applications."""
    by_id = {task.id: task for task in sorted(tasks, key=lambda task: (task.at, task.id))}
    known = sorted({link for link in links if link.source in by_id and link.target in by_id})
    back = _links_back(list(by_id), _group(known))
    kept = tuple(link for link in known if (link.source, link.target) not in back)
    return Workflow(tuple(by_id[id] for id in _in_order(by_id, kept)), kept)


def unknown_senders(
    tasks: Mapping[int, WorkflowTask], links: Iterable[WorkflowLink], groups: Mapping[str, Iterable[int]]
) -> tuple[list[WorkflowTask], list[WorkflowLink]]:
    """Returns placeholders for the senders of groups of tasks that no known task has sent, and the links from it to the members.

    `groups`: id of a group → its members by row id, of which those that are not in `tasks` are left out. A group of one needs no sender.
    """
    sent = {link.target for link in links if link.kind == "parent" and link.source in tasks}
    made: list[WorkflowTask] = []
    joins: list[WorkflowLink] = []
    for group in sorted(groups):
        members = sorted(set(groups[group]) & tasks.keys())
        if len(members) < 2 or sent.intersection(members):
            continue
        id, first = -1 - len(made), min((tasks[member] for member in members), key=lambda task: (task.at, task.id))
        made.append(WorkflowTask(id, group, "unknown sender", first.engine, UNKNOWN, first.at, is_known=False))
        joins += [WorkflowLink(id, member, "group") for member in members]
    return made, joins


def _group(links: Iterable[WorkflowLink]) -> Mapping[int, list[int]]:
    targets: dict[int, list[int]] = defaultdict(list)
    for link in links:
        targets[link.source].append(link.target)
    return targets


def _in_order(by_id: Mapping[int, WorkflowTask], links: Sequence[WorkflowLink]) -> list[int]:
    """Every source before its targets; the earliest first where no link decides."""
    waits_for = Counter(link.target for link in links)
    targets = _group(links)
    ready = [(task.at, id) for id, task in by_id.items() if not waits_for[id]]  # in order, so a heap already
    ordered = []
    while ready:
        _, id = heappop(ready)
        ordered.append(id)
        for target in targets.get(id, ()):
            waits_for[target] -= 1
            if not waits_for[target]:
                heappush(ready, (by_id[target].at, target))
    return ordered


def _links_back(ids: Iterable[int], targets: Mapping[int, list[int]]) -> set[tuple[int, int]]:
    """The links that a walk from the earliest task finds leading back to a task on its way. Without recursion: a chain may be long."""
    entered: set[int] = set()
    left: set[int] = set()
    back: set[tuple[int, int]] = set()
    for start in ids:
        entered.add(start)
        stack = [(start, iter(targets.get(start, ())))]
        while stack:
            id, rest = stack[-1]
            target = next(rest, None)
            if target is None:
                stack.pop()
                left.add(id)
            elif target not in entered:
                entered.add(target)
                stack.append((target, iter(targets.get(target, ()))))
            elif target not in left:
                back.add((id, target))
    return back
