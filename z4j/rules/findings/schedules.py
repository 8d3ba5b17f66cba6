# SPDX-License-Identifier: AGPL-3.0-or-later
"""Schedules that were late, missed, failed or run twice, and schedulers that are silent: one finding for each scheduler where it is its
process that is silent, not one for each of its schedules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlencode

from z4j.formats import duration, number, plural
from z4j.rules.findings.finding import Finding, Level, Link, Scope
from z4j.rules.rollups import DAY_US, HOUR_US

QUIET_US: Final = 45_000_000
"""A scheduler that is restarted is away for less."""
FORGOTTEN_US: Final = 7 * DAY_US
"""A scheduler that is away for longer was taken out of service."""
RECENT_US: Final = HOUR_US
OLD_US: Final = DAY_US
"""A run that was missed longer ago is history."""
SEVERAL: Final = 3
"""From more schedules of one scheduler on they are one finding."""


class ScheduleState(NamedTuple):
    """A schedule with its health (see `rules.schedules.fires`). Times are microseconds UTC. `due_at` is when its newest decided run was
    due, `lateness` how late that was, `doubled_at` when the newest one that two processes ran was due."""

    id: int
    scope: Scope
    scheduler: str
    name: str
    state: str
    next_at: int | None
    due_at: int | None
    lateness: int | None
    doubled_at: int | None
    error: str
    is_enabled: bool


class SchedulerState(NamedTuple):
    """A scheduler in an app and environment: the processes that run its schedules and are connected, as `worker on host`, and since when
    none is (None: one is connected, or none was ever seen)."""

    scope: Scope
    scheduler: str
    word: str
    connected: tuple[str, ...]
    silent_since: int | None
    last: str


def find(schedules: Sequence[ScheduleState], schedulers: Iterable[SchedulerState], at: int) -> list[Finding]:
    """Returns what is wrong with schedules and their schedulers."""
    found: list[Finding] = []
    by_scheduler: dict[tuple[str, str, str], list[ScheduleState]] = {}
    for schedule in schedules:
        by_scheduler.setdefault((*schedule.scope[:2], schedule.scheduler), []).append(schedule)
    for scheduler in schedulers:
        its = by_scheduler.get((*scheduler.scope[:2], scheduler.scheduler), [])
        found += _doubled(scheduler, its, at)
        if scheduler.silent_since is None:
            found += _each(scheduler, its, at)
        elif (silent := _silent(scheduler, its, at)) is not None:
            found.append(silent)
    return found


def _silent(scheduler: SchedulerState, its: Sequence[ScheduleState], at: int) -> Finding | None:
    since, enabled = scheduler.silent_since, [schedule for schedule in its if schedule.is_enabled]
    if since is None or not enabled or not QUIET_US <= at - since < FORGOTTEN_US:
        return None
    missed = sum(schedule.state == "missed" for schedule in enabled)
    return Finding(
        kind="silent_scheduler", subject=scheduler.scheduler, level="bad", weight=min(660 + 10 * missed + len(enabled), 900),
        title=f"{scheduler.word} of {scheduler.scope.app} is not connected",
        text=(
            f"for {duration(at - since)}; it runs {plural(len(enabled), 'schedule')}, "
            f"and {number(missed)} of them {'was' if missed == 1 else 'were'} due since"
        ),
        why=f"last seen: {scheduler.last}. Its process ended, or its agent cannot connect; runs are reported later in that case",
        scope=scheduler.scope, since=since,
        action=Link("Open its schedules", _href(scheduler)),
    )  # fmt: skip


def _doubled(scheduler: SchedulerState, its: Sequence[ScheduleState], at: int) -> list[Finding]:
    doubled = [schedule for schedule in its if schedule.doubled_at is not None and at - schedule.doubled_at < RECENT_US]
    if not doubled:
        return []
    first = min(schedule.doubled_at or 0 for schedule in doubled)
    who = " and ".join(scheduler.connected[:3]) if len(scheduler.connected) > 1 else "two processes"
    several = f"{plural(len(doubled), 'schedule')} ran twice for one due time in the last hour"
    return [
        Finding(
            kind="doubled_schedules", subject=scheduler.scheduler, level="bad", weight=min(680 + 10 * len(doubled), 900),
            title=f"{scheduler.word} of {scheduler.scope.app} runs twice", text=several,
            why=f"run by {who}. Each task of these schedules is sent twice until one of them ends",
            scope=scheduler.scope, since=first,
            action=Link("Open the doubled schedules", _href(scheduler, "double")),
            evidence=tuple(Link(schedule.name, f"/schedules/{schedule.id}") for schedule in doubled[:3]),
        )
    ]  # fmt: skip


def _each(scheduler: SchedulerState, its: Sequence[ScheduleState], at: int) -> list[Finding]:
    """Missed, failed and late ones: each a finding, or one of all where they are several."""
    found: list[Finding] = []
    for state in ("missed", "failed", "late"):
        bad = [schedule for schedule in its if schedule.is_enabled and schedule.state == state and _is_recent(schedule, at)]
        if len(bad) > SEVERAL:
            found.append(_several(scheduler, bad, state))
        else:
            found += [_one(schedule, scheduler, at) for schedule in bad]
    return found


def _is_recent(schedule: ScheduleState, at: int) -> bool:
    due_at = _due_at(schedule, at)
    return due_at is None or at - due_at < (RECENT_US if schedule.state == "late" else OLD_US)


def _due_at(schedule: ScheduleState, at: int) -> int | None:
    """When the run that makes its state was due: the next one where that has passed, else the newest decided one."""
    is_overdue = schedule.state == "missed" and schedule.next_at is not None and schedule.next_at < at
    return schedule.next_at if is_overdue else schedule.due_at


def _one(schedule: ScheduleState, scheduler: SchedulerState, at: int) -> Finding:
    due_at = _due_at(schedule, at)
    ago = "" if due_at is None else f" {duration(at - due_at)} ago"
    level: Level = "warn" if schedule.state == "late" else "bad"
    texts = {
        "missed": ("did not run", f"it was due{ago}", schedule.error or "no run was reported"),
        "failed": ("failed to run", f"the run that was due{ago} made no task", schedule.error or "its outcome is unknown"),
        "late": (
            "ran late", f"{duration(schedule.lateness)} after its due time{ago}",
            "its scheduler was busy or has just started; a later run in time ends this",
        ),
    }  # fmt: skip
    title, text, why = texts[schedule.state]
    action = Link("Open the schedule" if schedule.state == "late" else "Run now…", f"/schedules/{schedule.id}")
    return Finding(
        kind=f"{schedule.state}_schedule", subject=f"{schedule.scheduler} {schedule.name}", level=level,
        weight=120 if schedule.state == "late" else 520,
        title=f"Schedule {schedule.name} {title}", text=text, why=f"{scheduler.word}: {why}",
        scope=schedule.scope, since=due_at, action=action,
    )  # fmt: skip


def _several(scheduler: SchedulerState, bad: Sequence[ScheduleState], state: str) -> Finding:
    words = {"missed": "did not run when they were due", "failed": "failed to run", "late": "ran late"}
    level: Level = "warn" if state == "late" else "bad"
    errors = sorted({schedule.error for schedule in bad if schedule.error})
    return Finding(
        kind=f"{state}_schedules", subject=scheduler.scheduler, level=level,
        weight=140 if state == "late" else min(540 + 5 * len(bad), 700),
        title=f"{plural(len(bad), 'schedule')} of {scheduler.word} {words[state]}",
        text=", ".join(schedule.name for schedule in bad[:SEVERAL]) + " …",
        why=errors[0] if errors else "in its last run each", scope=scheduler.scope,
        since=min((schedule.due_at for schedule in bad if schedule.due_at is not None), default=None),
        action=Link("Open these schedules", _href(scheduler, state)),
    )  # fmt: skip


def _href(scheduler: SchedulerState, state: str = "") -> str:
    query = {"app": scheduler.scope.app, "environment": scheduler.scope.environment, "scheduler": scheduler.scheduler, "state": state}
    return f"/schedules?{urlencode({name: value for name, value in query.items() if value})}"
