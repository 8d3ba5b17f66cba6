# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reports a task name that is slower than usual at this hour, or suspiciously fast: a task that returns at once often no longer does its
work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from z4j.formats import duration
from z4j.rules.findings.activity import LATEST_MIN, RECENT_MIN, NameActivity
from z4j.rules.findings.baselines import Usual, usual
from z4j.rules.findings.finding import Finding, Link, name_href, tasks_href
from z4j.rules.rollups import bounds, percentile

LEAST_RUNS: Final = 20
LEAST_LATEST: Final = 5
"""Minimum runs in the newest minutes to end a finding."""
LEAST_SLOW: Final = 3
SLOW_SHARE: Final = 0.15
"""Minimum of the newest runs if the p95 of all recent ones is not above the limit yet."""
LEAST_HOUR: Final = 10
"""Minimum runs of an earlier hour for its percentiles to be used."""
SLOW_FACTOR: Final = 2.0
QUICK_FACTOR: Final = 0.2
MADS: Final = 6.0
LEAST_US: Final = 100_000.0
"""A task that takes less is never reported as slow, and one that usually takes less never as fast."""


def find(activity: NameActivity) -> Finding | None:
    """Returns the finding, or None if it is as fast as usual or too few tasks ran to judge."""
    if sum(activity.ran.values()) < LEAST_RUNS:
        return None
    p95, p50 = percentile(activity.ran, 0.95), percentile(activity.ran, 0.5)
    slow = usual([value for hour in activity.usual if (value := hour.percentile(0.95, LEAST_HOUR)) is not None])
    quick = usual([value for hour in activity.usual if (value := hour.percentile(0.5, LEAST_HOUR)) is not None])
    assert p95 is not None
    assert p50 is not None
    has_latest = sum(activity.latest_ran.values()) >= LEAST_LATEST
    latest = percentile(activity.latest_ran, 0.95)
    if slow is not None:
        limit = max(slow.above(factor=SLOW_FACTOR, mads=MADS), LEAST_US)
        if p95 > limit and (not has_latest or (latest is not None and latest > limit)):
            return _slow(activity, p95, RECENT_MIN, slow)
        if latest is not None and _are_slow(activity.latest_ran, limit):
            return _slow(activity, latest, LATEST_MIN, slow)
    if quick is not None and quick.median >= LEAST_US and p50 < (limit := quick.below(factor=QUICK_FACTOR, mads=MADS)):
        latest = percentile(activity.latest_ran, 0.5)
        return None if has_latest and latest is not None and latest >= limit else _quick(activity, p50, quick)
    return None


def _are_slow(ran: Mapping[int, int], limit: float) -> bool:
    """Whether several of a few runs are slow, which detects early that all of them are."""
    slow = sum(tasks for bucket, tasks in ran.items() if bounds(bucket)[0] >= limit)
    return slow >= LEAST_SLOW and slow >= SLOW_SHARE * sum(ran.values())


def _slow(activity: NameActivity, p95: float, minutes: int, past: Usual) -> Finding:
    return Finding(
        kind="slow", subject=activity.name, level="warn", weight=min(60 * p95 / max(past.median, 1), 450),
        title=f"{activity.name} is slow", text=f"p95 {duration(round(p95))}, usually {duration(round(past.median))}",
        why=f"the last {minutes} minutes compared with {activity.usual_of} ({past.samples} hours with runs); from histograms (error <10 %)",
        scope=activity.scope,
        action=Link("Show the slowest…", tasks_href(activity.scope, name=activity.name, since="1h")),
        evidence=(Link("history", name_href(activity.scope, activity.name)),),
        curve=tuple(float(minute.ended) for minute in activity.minutes), curve_of="runs per minute in the last hour",
    )  # fmt: skip


def _quick(activity: NameActivity, p50: float, past: Usual) -> Finding:
    return Finding(
        kind="quick", subject=activity.name, level="warn", weight=80,
        title=f"{activity.name} is suspiciously fast", text=f"p50 {duration(round(p50))}, usually {duration(round(past.median))}",
        why=(
            f"the last {RECENT_MIN} minutes compared with {activity.usual_of} ({past.samples} hours with runs); a task that "
            "returns at once may no longer do its work"
        ),
        scope=activity.scope,
        action=Link("Show the results…", tasks_href(activity.scope, name=activity.name, state=("succeeded",), since="1h")),
        evidence=(Link("history", name_href(activity.scope, activity.name)),),
        curve=tuple(float(minute.ended) for minute in activity.minutes), curve_of="runs per minute in the last hour",
    )  # fmt: skip
