# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reports running tasks that take much longer than usual: the worker may be stuck. One finding for each task name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from z4j.formats import duration, plural
from z4j.rules.findings.activity import NameActivity
from z4j.rules.findings.finding import Finding, Link, Scope, tasks_href, worker_href
from z4j.rules.rollups import percentile

FACTOR: Final = 3.0
LEAST_US: Final = 60_000_000
LEAST_RUNS: Final = 20
"""Minimum runs for the p99 to be used."""


class RunningTask(NamedTuple):
    """A task that a connected worker reports as running. `started_at` is microseconds UTC, of the server's clock."""

    scope: Scope
    name: str
    worker: str
    started_at: int


def find(running: Sequence[RunningTask], names: Mapping[tuple[Scope, str], NameActivity], at: int) -> list[Finding]:
    """Returns a finding for each name with tasks that run for more than three times its p99 and a minute."""
    by_name: dict[tuple[Scope, str], list[RunningTask]] = {}
    for task in running:
        if at - task.started_at >= LEAST_US:
            by_name.setdefault((task.scope, task.name), []).append(task)
    found = (_name(tasks, names[subject], at) for subject, tasks in by_name.items() if subject in names)
    return [finding for finding in found if finding is not None]


def _name(tasks: Sequence[RunningTask], activity: NameActivity, at: int) -> Finding | None:
    runtimes: dict[int, int] = dict(activity.ran)
    for hour in activity.usual:
        for bucket, count in hour.ran.items():
            runtimes[bucket] = runtimes.get(bucket, 0) + count
    runs, p99 = sum(runtimes.values()), percentile(runtimes, 0.99)
    if runs < LEAST_RUNS or p99 is None:
        return None
    limit = max(FACTOR * p99, LEAST_US)
    stuck = sorted((task for task in tasks if at - task.started_at > limit), key=lambda task: task.started_at)
    if not stuck:
        return None
    oldest, workers = stuck[0], {task.worker for task in stuck}
    where = f"on {oldest.worker}" if len(workers) == 1 else f"on {len(workers)} workers"
    verb = "has" if len(stuck) == 1 else "have"
    return Finding(
        kind="stuck", subject=activity.name, level="warn", weight=min(200 + 30 * len(stuck), 600),
        title=f"{activity.name} may be stuck",
        text=f"{plural(len(stuck), 'task')} {verb} been running for up to {duration(at - oldest.started_at)} {where}",
        why=f"p99 is {duration(round(p99))} ({runs:,} runs, {activity.usual_of}); reported above three times the p99 and above 1 minute",
        scope=activity.scope, since=oldest.started_at + round(limit),
        action=Link("Show the running tasks…", tasks_href(activity.scope, name=activity.name, state=("running",))),
        evidence=tuple(Link(worker, worker_href(activity.scope, worker)) for worker in sorted(workers)[:3]),
    )  # fmt: skip
