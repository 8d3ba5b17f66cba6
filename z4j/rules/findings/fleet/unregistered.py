# SPDX-License-Identifier: AGPL-3.0-or-later
"""Tasks that no worker has registered: a worker rejected them as unknown, or they wait for a worker that has their name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from z4j.formats import duration, plural
from z4j.rules.findings.finding import Finding, Link, Scope, key_of, tasks_href
from z4j.rules.findings.fleet.process import MINUTE_US
from z4j.rules.findings.fleet.restarts import RECENT_MIN, RecentEnd

UNKNOWN: Final = "unknown_task"
LEAST_WAIT_US: Final = MINUTE_US
"""A worker that has just started reports its names a moment later."""


class WaitingName(NamedTuple):
    """Queued tasks whose name is not registered. `workers`: connected ones of their engine; `started`: tasks of the name that started in
    the last hour; `waits_us`: how long that has been so, as far as this server looked."""

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
    found = [_rejected(scope, name, of_name) for (scope, name), of_name in rejected.items()]
    known = {finding.key for finding in found}
    return found + [finding for each in waiting if (finding := _waiting(each)) is not None and finding.key not in known]


def _rejected(scope: Scope, name: str, ends: Sequence[RecentEnd]) -> Finding:
    tasks, queues = sum(end.tasks for end in ends), sorted({end.queue for end in ends if end.queue})
    where = f" of {queues[0]}" if len(queues) == 1 else ""
    return Finding(
        kind="unregistered", subject=name, level="bad", weight=min(640 + 10 * tasks, 800),
        title=f"{name} is not registered", text=f"workers{where} rejected {plural(tasks, 'task')} as unknown in {RECENT_MIN} minutes",
        why="the producer sends a name that the workers do not have: a module that is not imported, or an older release of the workers",
        scope=scope, since=min(end.first_at for end in ends),
        action=Link(f"Review {plural(tasks, 'task')}…", tasks_href(scope, name=name, state=("rejected",), since="1h")),
        explains=(key_of("failing_more", scope, name),),
    )  # fmt: skip


def _waiting(waiting: WaitingName) -> Finding | None:
    if not waiting.workers or waiting.started or waiting.waits_us < LEAST_WAIT_US:
        return None
    verb = "waits" if waiting.tasks == 1 else "wait"
    return Finding(
        kind="unregistered", subject=waiting.name, level="bad", weight=min(600 + 10 * waiting.tasks, 800),
        title=f"No worker has registered {waiting.name}",
        text=f"{plural(waiting.tasks, 'task')} {verb} in {waiting.queue or 'a queue'}, and none started in the last hour",
        why=f"{plural(waiting.workers, 'connected worker')} of {waiting.scope.engine} report other names, for {duration(waiting.waits_us)}",
        scope=waiting.scope,
        action=Link(
            f"Review {plural(waiting.tasks, 'waiting task')}…", tasks_href(waiting.scope, name=waiting.name, state=("queued", "received"))
        ),
    )  # fmt: skip
