# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reports tasks that no worker has registered: rejected as unknown, or waiting for a worker that has registered their name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from z4j.formats import duration, plural
from z4j.rules.findings.finding import Finding, Link, Scope, key_of, tasks_href
from z4j.rules.findings.fleet.process import MINUTE_US
from z4j.rules.findings.fleet.worker_restarts import RECENT_MIN, RecentEnd

UNKNOWN: Final = "unknown_task"
LEAST_WAIT_US: Final = MINUTE_US
"""A worker reports its task names shortly after its start."""


class WaitingName(NamedTuple):
    """Queued tasks whose name is not registered. `workers`: connected ones of their engine; `started`: tasks of the name that started in
    the last hour; `waits_us`: how long this server has observed that."""

    scope: Scope
    name: str
    queue: str
    tasks: int
    workers: int
    started: int
    waits_us: int


def find(ends: Sequence[RecentEnd], waiting: Sequence[WaitingName]) -> list[Finding]:
    """Returns a finding for each name that was rejected as unknown, or that waits and is not registered."""
    rejected: dict[tuple[Scope, str], list[RecentEnd]] = {}
    for end in ends:
        if end.state == "rejected" and end.reason == UNKNOWN:
            rejected.setdefault((end.scope, end.name), []).append(end)
    found = [_rejected(scope, name, of_name) for (scope, name), of_name in rejected.items() if not _is_over(of_name)]
    known = {finding.key for finding in found}
    return found + [finding for each in waiting if (finding := _waiting(each)) is not None and finding.key not in known]


def _is_over(ends: Sequence[RecentEnd]) -> bool:
    """Whether the name is registered and no process that rejected it is connected. One process that has registered it is not enough
    while another one rejects it: a deployment may be in progress."""
    return not any(end.is_there for end in ends) and any(end.registered_at is not None for end in ends)


def _rejected(scope: Scope, name: str, ends: Sequence[RecentEnd]) -> Finding:
    tasks, queues = sum(end.tasks for end in ends), sorted({end.queue for end in ends if end.queue})
    where = f" of {queues[0]}" if len(queues) == 1 else ""
    return Finding(
        kind="unregistered", subject=name, level="bad", weight=min(640 + 10 * tasks, 800),
        title=f"{name} is not registered", text=f"workers{where} rejected {plural(tasks, 'task')} as unknown in {RECENT_MIN} minutes",
        why="the producer sends a task name that the workers have not registered. Common causes: a module is not imported, or the "
        "workers run an older release",
        scope=scope, since=min(end.first_at for end in ends),
        action=Link(f"Review {plural(tasks, 'task')}…", tasks_href(scope, name=name, state=("rejected",), since="1h")),
        explains=(key_of("failing_more", scope, name),),
    )  # fmt: skip


def _waiting(waiting: WaitingName) -> Finding | None:
    if not waiting.workers or waiting.started or waiting.waits_us < LEAST_WAIT_US:
        return None
    return Finding(
        kind="unregistered", subject=waiting.name, level="bad", weight=min(600 + 10 * waiting.tasks, 800),
        title=f"No worker has registered {waiting.name}",
        text=f"{plural(waiting.tasks, 'task')} waiting in {waiting.queue or 'a queue'}, and none started in the last hour",
        why=f"{plural(waiting.workers, 'connected worker')} ({waiting.scope.engine}) have registered other names, for "
        f"{duration(waiting.waits_us)}",
        scope=waiting.scope,
        action=Link(
            f"Review {plural(waiting.tasks, 'waiting task')}…", tasks_href(waiting.scope, name=waiting.name, state=("queued", "received"))
        ),
    )  # fmt: skip
