# SPDX-License-Identifier: AGPL-3.0-or-later
"""A task name fails more than usual at this hour."""

from __future__ import annotations

from typing import Final

from z4j.formats import number
from z4j.rules.findings.activity import BAD, LATEST_MIN, RECENT_MIN, Counts, NameActivity
from z4j.rules.findings.baselines import usual
from z4j.rules.findings.finding import Finding, Link, name_href, plan_href, tasks_href
from z4j.rules.rollups import MINUTE_US

WINDOWS: Final = (RECENT_MIN, LATEST_MIN)
"""Window sizes in minutes: the short ones detect a total failure within a minute, the long ones a partial failure."""
LEAST_BAD: Final = 5
LEAST_SHARE: Final = 0.05
FACTOR: Final = 3.0
MADS: Final = 6.0
OVER: Final = 4
"""The finding ends if the failure rate of the newest minutes is smaller by this factor: a single failure does not keep it open."""
NEWEST_MIN: Final = 2
EXPECTED: Final = 6.0
"""The newest minutes, one of them incomplete, are enough to end the finding if this many failures were expected in them."""
CERTAIN: Final = 4.0
"""Standard deviations above the number expected at the usual failure rate that the failures must reach."""


def find(activity: NameActivity) -> Finding | None:
    """Returns the finding, or None if the failure rate is as usual or too few tasks ran to judge."""
    past = usual([hour.counts.bad_share for hour in activity.usual if hour.counts.ended])
    limit = LEAST_SHARE if past is None else max(past.above(factor=FACTOR, mads=MADS), LEAST_SHARE)
    share = past.median if past else 0.0
    minutes = next((minutes for minutes in WINDOWS if _is_high(activity.last(minutes), limit, share)), None)
    if minutes is None:
        return None
    recent, latest = activity.last(minutes), activity.last(LATEST_MIN)
    newest = activity.last(NEWEST_MIN)
    if _is_low(latest, limit, recent) or (newest.ended * recent.bad_share >= EXPECTED and _is_low(newest, limit, recent)):
        return None  # it has ended
    name = activity.name
    return Finding(
        kind="failing_more", subject=name, level="bad" if recent.bad_share >= 0.2 or recent.bad >= 50 else "warn",
        weight=min(100 * recent.bad_share + 20 * len(str(recent.bad)), 500),
        title=f"{name} fails more than usual",
        text=f"{number(recent.bad)} of {number(recent.ended)} runs failed in {minutes} minutes ({recent.bad_share:.0%})",
        why=(
            f"usually {f'{past.median:.1%}' if past.median else 'none'}, in {activity.usual_of} ({past.samples} hours with runs)" if past
            else "not enough earlier hours to compare with; reported because of the failure rate alone"
        ),
        scope=activity.scope, since=_begins(activity, limit),
        action=Link(f"Review {number(recent.bad)} and retry…", plan_href(activity.scope, name=name, state=("failed",), since="1h")),
        evidence=(
            Link("failed tasks", tasks_href(activity.scope, name=name, state=BAD, since="1h")),
            Link("all runs", tasks_href(activity.scope, name=name, since="1h")),
            Link("history", name_href(activity.scope, name)),
        ),
        curve=tuple(float(minute.bad) for minute in activity.minutes), curve_of="failures per minute in the last hour",
    )  # fmt: skip


def _is_high(counts: Counts, limit: float, share: float) -> bool:
    expected = counts.ended * share
    return counts.bad >= LEAST_BAD and counts.bad_share >= limit and counts.bad >= expected + CERTAIN * (expected + 1) ** 0.5


def _is_low(counts: Counts, limit: float, recent: Counts) -> bool:
    return counts.ended >= LEAST_BAD and counts.bad_share < max(limit / 2, min(limit, recent.bad_share / OVER))


def _begins(activity: NameActivity, limit: float) -> int | None:
    """When the failure rate rose: the first of the newest consecutive minutes above the limit."""
    since = None
    for ago, minute in enumerate(reversed(activity.minutes)):
        if minute.ended and minute.bad_share < limit:
            break
        if minute.bad:
            since = activity.at - ago * MINUTE_US
    return since
