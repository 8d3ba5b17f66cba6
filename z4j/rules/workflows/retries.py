# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which tasks to retry so that a workflow that failed runs again, each of them once. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from z4j.rules.tasks.states import ENDED_BADLY
from z4j.rules.workflows.workflow_graph import Workflow


@dataclass(frozen=True, slots=True)
class RetryChoice:
    """Row ids to retry, in the order of the workflow. `followers` counts failed tasks that a retry creates again."""

    ids: tuple[int, ...]
    followers: int


def choose_retries(workflow: Workflow) -> RetryChoice:
    """Returns the failed tasks without a failed task before them.

    A retry runs a task with the rest of its chain, and a task creates its children again, so a failed task that followed a failed one would
    run twice. Tasks that were retried already are left out: their newest retry counts.
    """
    retried = {link.source for link in workflow.links if link.kind == "retry_of"}
    sources: dict[int, list[int]] = {}
    for link in workflow.links:
        if link.kind == "parent":
            sources.setdefault(link.target, []).append(link.source)
    covered: set[int] = set()
    chosen: list[int] = []
    followers = 0
    for task in workflow.tasks:
        follows = any(source in covered for source in sources.get(task.id, ()))
        has_failed = task.state in ENDED_BADLY and task.id not in retried
        if follows or has_failed:
            covered.add(task.id)
        if has_failed and follows:
            followers += 1
        elif has_failed:
            chosen.append(task.id)
    return RetryChoice(tuple(chosen), followers)
