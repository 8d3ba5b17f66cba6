# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reports tasks that kill their worker process, and workers that restart in a loop."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from z4j.formats import duration, number, plural
from z4j.rules.findings.finding import Finding, Link, Scope, key_of, tasks_href, workers_href
from z4j.rules.findings.fleet.process import MINUTE_US, SECOND_US, Process

WINDOW_US: Final = 10 * MINUTE_US
LEAST_STARTS: Final = 3
LEAST_KILLS: Final = 2
KILLED: Final = "child_killed"
RECENT_MIN: Final = 15
GAPS: Final = 3
QUIET_US: Final = 30 * SECOND_US
"""Minimum time without a kill until the finding ends."""
STEADY: Final = 3
"""A worker that has run this many times as long as the longest of its earlier runs no longer restarts in a loop."""


class RecentEnd(NamedTuple):
    """Tasks of one name that ended for one reason in the last `RECENT_MIN` minutes. Times are microseconds UTC."""

    scope: Scope
    name: str
    queue: str
    state: str
    reason: str
    tasks: int
    first_at: int
    last_at: int
    ran: int = 0
    """Of the newest tasks of the name, those that succeeded since the last of these."""
    is_there: bool = True
    """Whether one of the processes is still connected."""
    registered_at: int | None = None
    """When a process registered the name last; None: no name like this is registered."""


def is_quiet(at: int, first_at: int, last_at: int, times: int) -> bool:
    """Whether nothing has happened for three times the mean time between two of these events."""
    gap = (last_at - first_at) // max(times - 1, 1)
    return at - last_at >= max(GAPS * gap, QUIET_US)


def find_killed(ends: Sequence[RecentEnd], at: int) -> list[Finding]:
    """Returns a finding for each task name whose tasks were lost, or whose process was killed, until workers run such tasks again."""
    names: dict[tuple[Scope, str], list[RecentEnd]] = {}
    for end in ends:
        if end.state == "lost" or end.reason == KILLED:
            names.setdefault((end.scope, end.name), []).append(end)
    found = (_killed(scope, name, of_name, at) for (scope, name), of_name in names.items())
    return [finding for finding in found if finding is not None]


def _killed(scope: Scope, name: str, ends: Sequence[RecentEnd], at: int) -> Finding | None:
    tasks, killed = sum(end.tasks for end in ends), sum(end.tasks for end in ends if end.reason == KILLED)
    if tasks < LEAST_KILLS:
        return None
    first_at, last_at = min(end.first_at for end in ends), max(end.last_at for end in ends)
    if max(ends, key=lambda end: end.last_at).ran and is_quiet(at, first_at, last_at, tasks):
        return None  # a worker is running such tasks again
    title = f"{name} kills its worker process" if killed * 2 >= tasks else f"Tasks of {name} are lost"
    reasons = f"; {number(killed)} of them were running when the process was killed" if killed else ""
    return Finding(
        kind="killed", subject=name, level="bad", weight=min(620 + 20 * tasks, 850),
        title=title, text=f"{plural(tasks, 'task')} in {RECENT_MIN} minutes",
        why=f"within {duration(last_at - first_at)}{reasons}. Common causes: out of memory, a crash in native code, a signal",
        scope=scope, since=first_at,
        action=Link(
            f"Review {plural(tasks, 'task')}…", tasks_href(scope, name=name, state=tuple(sorted({end.state for end in ends})), since="1h")
        ),
        explains=(key_of("failing_more", scope, name),),
    )  # fmt: skip


def find_loops(processes: Sequence[Process], at: int) -> list[Finding]:
    """Returns a finding for each host on which a worker started at least three times within ten minutes."""
    slots: dict[tuple[Scope, str, str], list[Process]] = {}
    for process in processes:
        slot = process.seat or process.worker
        if process.role in ("worker", "scheduler") and slot and at - process.began_at < WINDOW_US:
            slots.setdefault((process.scope, process.host, slot), []).append(process)
    hosts: dict[tuple[Scope, str], list[list[Process]]] = {}
    for (scope, host, _), starts in slots.items():
        if len(starts) >= LEAST_STARTS and sum(process.is_connected for process in starts) <= 1 and not _is_steady(starts, at):
            hosts.setdefault((scope, host), []).append(starts)
    return [_loop(scope, host, loops) for (scope, host), loops in hosts.items()]


def _is_steady(starts: Sequence[Process], at: int) -> bool:
    """Whether the newest process has been connected for much longer than any earlier one ran."""
    ordered = sorted(starts, key=lambda process: process.began_at)
    longest = max((later.began_at - earlier.began_at for earlier, later in pairwise(ordered)), default=0)
    return ordered[-1].is_connected and at - ordered[-1].began_at >= max(STEADY * longest, STEADY * QUIET_US // 2)


def _loop(scope: Scope, host: str, loops: Sequence[Sequence[Process]]) -> Finding:
    every = [process for starts in loops for process in starts]
    newest = max(every, key=lambda process: process.began_at)
    killed = sum(not process.is_connected and not process.is_orderly for process in every)
    who = newest.worker if len(loops) == 1 else plural(len(loops), "worker")
    verb = "keeps" if len(loops) == 1 else "keep"
    return Finding(
        kind="restarts", subject=host, level="bad", weight=min(560 + 20 * len(every), 800),
        title=f"{who} on {host} {verb} restarting", text=f"{plural(len(every), 'start')} in {WINDOW_US // MINUTE_US} minutes",
        why=(
            f"{number(killed)} of the processes did not shut down cleanly" if killed
            else "all of them shut down cleanly: something restarts them"
        ) + ". Check the memory and the log of the worker",
        scope=scope, since=min(process.began_at for process in every),
        action=Link("Open the workers", workers_href(scope)),
    )  # fmt: skip
