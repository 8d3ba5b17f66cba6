# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reports schedules that were late, missed, failed or run twice, and schedulers that are not connected. A scheduler that is not connected
is one finding, not one for each of its schedules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlencode

from z4j.formats import duration, number, plural
from z4j.rules.findings.finding import Finding, Level, Link, Scope
from z4j.rules.rollups import DAY_US, HOUR_US

QUIET_US: Final = 45_000_000
"""Longer than a scheduler takes to restart."""
FORGOTTEN_US: Final = 7 * DAY_US
"""After this time a disconnected scheduler is considered decommissioned."""
RECENT_US: Final = HOUR_US
OLD_US: Final = DAY_US
"""Runs missed longer ago are not reported."""
SEVERAL: Final = 3
"""More schedules of one scheduler than this are one finding."""


class ScheduleState(NamedTuple):
    """A schedule with its health (see `rules.schedules.schedule_health`). Times are microseconds UTC. `due_at` is when its newest decided
    run was due, `lateness` how late that was, `doubled_at` when the newest run by two processes was due."""

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
    """Returns the findings of schedules and their schedulers."""
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
            f"{number(missed)} of which {'was' if missed == 1 else 'were'} due since"
        ),
        why=f"last seen: {scheduler.last}. Either its process has ended, or its agent cannot connect and will report the runs later",
        scope=scheduler.scope, since=since,
        action=Link("Open its schedules", _href(scheduler)),
    )  # fmt: skip


def _doubled(scheduler: SchedulerState, its: Sequence[ScheduleState], at: int) -> list[Finding]:
    doubled = [schedule for schedule in its if schedule.doubled_at is not None and at - schedule.doubled_at < RECENT_US]
    if not doubled or (len(scheduler.connected) < 2 and all(_runs_once(schedule) for schedule in doubled)):
        return []
    first = min(schedule.doubled_at or 0 for schedule in doubled)
    who = " and ".join(scheduler.connected[:3]) if len(scheduler.connected) > 1 else "two processes"
    several = f"{plural(len(doubled), 'schedule')} ran twice for the same due time in the last hour"
    return [
        Finding(
            kind="doubled_schedules", subject=scheduler.scheduler, level="bad", weight=min(680 + 10 * len(doubled), 900),
            title=f"{scheduler.word} of {scheduler.scope.app} runs twice", text=several,
            why=f"run by {who}. Each task of these schedules is enqueued twice until one of the schedulers stops",
            scope=scheduler.scope, since=first,
            action=Link("Open schedules that ran twice", _href(scheduler, "double")),
            evidence=tuple(Link(schedule.name, f"/schedules/{schedule.id}") for schedule in doubled[:3]),
        )
    ]  # fmt: skip


def _runs_once(schedule: ScheduleState) -> bool:
    """Whether its newest decided run was no longer doubled."""
    return schedule.due_at is not None and schedule.doubled_at is not None and schedule.due_at > schedule.doubled_at


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
    """When the run that determines its state was due: the next run if it is overdue, otherwise the newest decided one."""
    is_overdue = schedule.state == "missed" and schedule.next_at is not None and schedule.next_at < at
    return schedule.next_at if is_overdue else schedule.due_at


def _one(schedule: ScheduleState, scheduler: SchedulerState, at: int) -> Finding:
    due_at = _due_at(schedule, at)
    ago = "" if due_at is None else f" {duration(at - due_at)} ago"
    level: Level = "warn" if schedule.state == "late" else "bad"
    texts = {
        "missed": ("did not run", f"it was due{ago}", schedule.error or "no run was reported"),
        "failed": ("failed to run", f"the run that was due{ago} created no task", schedule.error or "its outcome is unknown"),
        "late": (
            "ran late", f"{duration(schedule.lateness)} after its due time{ago}",
            "its scheduler was busy or had just started; the next run on time clears this",
        ),
    }  # fmt: skip
    title, text, why = texts[schedule.state]
    page = Link("the schedule", f"/schedules/{schedule.id}")
    action = Link("Open the schedule", page.href) if schedule.state == "late" else Link("Run now…", page.href, "operator")
    return Finding(
        kind=f"{schedule.state}_schedule", subject=f"{schedule.scheduler} {schedule.name}", level=level,
        weight=120 if schedule.state == "late" else 520,
        title=f"Schedule {schedule.name} {title}", text=text, why=f"{scheduler.word}: {why}",
        scope=schedule.scope, since=due_at, action=action, evidence=(page,) if action.needs != "viewer" else (),
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
        why=errors[0] if errors else "in the last run of each", scope=scheduler.scope,
        since=min((schedule.due_at for schedule in bad if schedule.due_at is not None), default=None),
        action=Link("Open these schedules", _href(scheduler, state)),
    )  # fmt: skip


def _href(scheduler: SchedulerState, state: str = "") -> str:
    query = {"app": scheduler.scope.app, "environment": scheduler.scope.environment, "scheduler": scheduler.scheduler, "state": state}
    return f"/schedules?{urlencode({name: value for name, value in query.items() if value})}"
