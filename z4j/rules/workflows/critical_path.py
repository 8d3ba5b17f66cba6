# SPDX-License-Identifier: AGPL-3.0-or-later
"""The critical path of a workflow: of all chains of linked tasks, the one whose tasks ran longest in total. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from z4j.rules.workflows.workflow_graph import Workflow


@dataclass(frozen=True, slots=True)
class CriticalPath:
    """Row ids from the first task to the last, and the sum of their durations in microseconds."""

    ids: tuple[int, ...]
    runtime_us: int


def critical_path(workflow: Workflow) -> CriticalPath:
    """Returns the longest chain; empty where no task has a duration. An unknown duration counts as zero. Senders that are unknown are in
    no chain."""
    sources: dict[int, list[int]] = defaultdict(list)
    for link in workflow.links:
        if link.kind != "group":
            sources[link.target].append(link.source)
    best: dict[int, tuple[int, int | None]] = {}
    for task in workflow.tasks:
        before = max(sources[task.id], key=lambda id: (best[id][0], -id), default=None)
        best[task.id] = ((best[before][0] if before is not None else 0) + (task.runtime_us or 0), before)
    last = max(best, key=lambda id: (best[id][0], -id), default=None)
    if last is None or best[last][0] == 0:
        return CriticalPath((), 0)
    ids: list[int] = []
    at: int | None = last
    while at is not None:
        ids.append(at)
        at = best[at][1]
    return CriticalPath(tuple(reversed(ids)), best[last][0])
