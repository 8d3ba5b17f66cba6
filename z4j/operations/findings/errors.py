# SPDX-License-Identifier: AGPL-3.0-or-later
"""Evaluates the error groups seen in the last hour: all of them by their hours, and some by their newest failures."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from z4j.rules.errors.group_states import FAILED, RETRIED
from z4j.rules.findings import errors as rules
from z4j.rules.findings.activity import NameActivity
from z4j.rules.findings.errors import ErrorActivity
from z4j.rules.findings.finding import Finding, Scope
from z4j.rules.findings.fleet.worker_restarts import KILLED, LEAST_KILLS
from z4j.rules.rollups import HOUR_US
from z4j.store.errors import error_groups
from z4j.store.errors.error_groups import ErrorFilter, ErrorGroup, Hour
from z4j.store.findings.activity import Subject
from z4j.store.sqlite.db import Store

GROUPS: Final = 500
"""Maximum groups, last seen first."""
LOOKED_AT: Final = 30
"""Maximum groups whose newest failures are read: those with the most in the last two hours."""
SAMPLE: Final = 20
"""Maximum tasks whose releases are read."""


async def find(store: Store, names: Mapping[Subject, NameActivity], releases: Mapping[str, Collection[str]], at: int) -> list[Finding]:
    """Returns the findings of error groups. `releases`: app → the releases that its processes run. Raises StoreError."""
    groups, _ = await error_groups.list_groups(store, ErrorFilter(), None, GROUPS)
    recent = [group for group in groups if group.last_at >= at - HOUR_US]
    if not recent:
        return []
    hours = await error_groups.list_hours(store, [group.id for group in recent], at)
    counts = {id: tuple(_count(hour) for hour in of_group) for id, of_group in hours.items()}
    last = {group.id: sum(counts[group.id][-2:]) for group in recent}
    chosen = [group for group in recent if last[group.id] >= (LEAST_KILLS if group.error_type == KILLED else rules.LEAST)]
    chosen = sorted(chosen, key=lambda group: (group.error_type != KILLED, -last[group.id], group.id))[:LOOKED_AT]
    places = await error_groups.list_places(store, [group.id for group in chosen])
    found = []
    for group in chosen:
        of_names: dict[tuple[Scope, str], int] = {}
        for place in places.get(group.id, []):
            subject = Scope(group.app, place.environment, place.engine), place.name
            of_names[subject] = of_names.get(subject, 0) + place.failed + place.retried
        has_releases = len(releases.get(group.app, ())) > 1
        activity = await _activity(store, group, counts[group.id], of_names, at, has_releases=has_releases)
        found.append(rules.find(activity, names, at))
    return [finding for finding in found if finding is not None]


async def _activity(
    store: Store, group: ErrorGroup, hours: tuple[int, ...], names: dict[tuple[Scope, str], int], at: int, *, has_releases: bool
) -> ErrorActivity:  # fmt: skip
    is_killed = group.error_type == KILLED
    listed = await (error_groups.list_every if is_killed else error_groups.list_newest)(store, group.id, rules.MOST, (FAILED, RETRIED))
    newest = [(task, time) for task, time in listed if time >= at - HOUR_US]
    origins = await error_groups.list_origins(store, [task for task, _ in newest[:SAMPLE]])
    return ErrorActivity(
        id=group.id, app=group.app, error_type=group.error_type, message=group.message, state=group.state, first_at=group.first_at,
        last_at=group.last_at, hours=hours, newest=tuple(time for _, time in newest),
        releases=tuple(origin.release for origin in origins), has_releases=has_releases,
        names={subject: count for subject, count in names.items() if count},
        unended=await error_groups.count_unended(store, {task for task, _ in newest}) if is_killed else 0,
    )  # fmt: skip


def _count(hour: Hour) -> int:
    """Failures whose task has not succeeded on retry."""
    return hour.failed + hour.retried
