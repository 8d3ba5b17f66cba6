# SPDX-License-Identifier: AGPL-3.0-or-later
"""A task name runs less often than usual at this hour, or is retried more often."""

from __future__ import annotations

from typing import Final

from z4j.formats import number
from z4j.rules.findings.activity import LATEST_MIN, RECENT_MIN, Counts, NameActivity
from z4j.rules.findings.baselines import usual
from z4j.rules.findings.finding import Finding, Link, name_href, tasks_href
from z4j.rules.rollups import MINUTE_US

LEAST_USUAL: Final = 20
"""Minimum usual runs per hour for missing runs to be reported."""
SELDOM_FACTOR: Final = 0.3
MADS: Final = 4.0
WINDOWS: Final = ((RECENT_MIN, 30), (LATEST_MIN, 15))
"""Window sizes in minutes, with the minimum number of retries. The short ones detect a retry storm within a minute."""
RETRY_SHARE: Final = 0.5
"""Minimum retries per start."""


def find(activity: NameActivity) -> Finding | None:
    """Returns the finding, or None if it runs and is retried as often as usual."""
    return _retried(activity) or _seldom(activity)


def _retried(activity: NameActivity) -> Finding | None:
    past = usual([hour.counts.retried / hour.counts.started for hour in activity.usual if hour.counts.started])
    limit = RETRY_SHARE if past is None else max(past.above(factor=2.0, mads=MADS), RETRY_SHARE)
    minutes = next((minutes for minutes, least in WINDOWS if _are_many(activity.last(minutes), least, limit)), None)
    latest = activity.last(LATEST_MIN)
    if minutes is None or latest.retried < RETRY_SHARE * latest.started / 2:
        return None
    recent = activity.last(minutes)
    return Finding(
        kind="retries", subject=activity.name, level="bad" if recent.retried > 3 * recent.started else "warn",
        weight=min(40 * len(str(recent.retried)) + 20 * recent.retried / max(recent.started, 1), 480),
        title=f"{activity.name} is retried more than usual",
        text=f"{number(recent.retried)} retries for {number(recent.started)} tasks in {minutes} minutes",
        why=f"usually {past.median:.1f} retries per task, in {activity.usual_of}" if past else "not enough earlier hours to compare with",
        scope=activity.scope,
        action=Link("Show tasks being retried…", tasks_href(activity.scope, name=activity.name, state=("retrying",))),
        evidence=(
            Link("retrying", tasks_href(activity.scope, name=activity.name, state=("retrying",))),
            Link("history", name_href(activity.scope, activity.name)),
        ),
        curve=tuple(float(minute.retried) for minute in activity.minutes), curve_of="retries per minute in the last hour",
    )  # fmt: skip


def _are_many(counts: Counts, least: int, limit: float) -> bool:
    return counts.retried >= least and counts.retried >= limit * counts.started


def _seldom(activity: NameActivity) -> Finding | None:
    past = usual([float(hour.counts.ended) for hour in activity.usual])
    if past is None or past.median < LEAST_USUAL:
        return None
    whole = activity.last(60)
    if whole.ended >= past.below(factor=SELDOM_FACTOR, mads=MADS) or activity.last(LATEST_MIN).ended * 60 / LATEST_MIN > past.median / 2:
        return None
    quiet = next((ago for ago, minute in enumerate(reversed(activity.minutes)) if minute.ended), None)
    return Finding(
        kind="seldom", subject=activity.name, level="warn", weight=min(60 + past.median / 10, 300),
        title=f"{activity.name} runs less than usual" if whole.ended else f"{activity.name} has not run",
        text=f"{number(whole.ended)} runs ended in the last hour, usually {number(past.median)}",
        why=f"compared with {activity.usual_of} ({past.samples} hours)"
        + (f"; the last one ended {quiet} minutes ago" if quiet is not None and quiet > 1 else ""),
        scope=activity.scope, since=None if quiet is None else activity.at - quiet * MINUTE_US,
        action=Link("Show tasks…", tasks_href(activity.scope, name=activity.name, since="1d")),
        evidence=(Link("history", name_href(activity.scope, activity.name)),),
        curve=tuple(float(minute.ended) for minute in activity.minutes), curve_of="runs per minute in the last hour",
    )  # fmt: skip
