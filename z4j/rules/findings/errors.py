# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reports an error group that is new, has regressed, or occurs more often than in its earlier hours."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from z4j.formats import number, plural
from z4j.rules.findings.activity import BAD, LATEST_MIN, NameActivity
from z4j.rules.findings.baselines import Usual, baseline
from z4j.rules.findings.finding import Finding, Link, Scope, key_of, tasks_href
from z4j.rules.findings.fleet.unregistered_tasks import UNKNOWN
from z4j.rules.findings.fleet.worker_restarts import KILLED, LEAST_KILLS, RECENT_MIN, is_quiet
from z4j.rules.rollups import HOUR_US, MINUTE_US

LEAST: Final = 5
"""Minimum failures in the last hour."""
LEAST_RISING: Final = 8
"""The same for a group that is neither new nor regressed: rare errors occur in bursts."""
FACTOR: Final = 3.0
MADS: Final = 6.0
CERTAIN: Final = 4.0
"""Standard deviations above the mean of the busiest earlier hours that the failures must reach."""
BUSIEST: Final = 4
"""One of so many earlier hours is one of the busiest. An evening has more failures than the mean of a day, without anything being wrong."""
QUIET_US: Final = 5 * MINUTE_US
GAPS: Final = 3
"""The finding ends after five minutes without a failure, or after three times the mean time between two, whichever is longer."""
CURED_MIN: Final = (2, 4, 8, 15)
"""Newest minutes, the last one incomplete, in which the end of the finding is detected."""
LEAST_RUNS: Final = 20
EXPECTED: Final = 6.0
OVER: Final = 4
"""The finding ends if `EXPECTED` of these runs were expected to fail at its worst failure rate, and at most a fourth of that did."""
MANY: Final = 50
MOST: Final = 500
"""Newest failures that are read; with more of them in an hour, the counts of whole hours are used."""
SHARE: Final = 0.8
"""If at least this share of a task name's failures is of this group, the name is not reported as well."""
OTHERS: Final = (UNKNOWN, "lost")
"""Groups without an exception: findings of names and processes give more detail."""
NAMED: Final = 2


@dataclass(frozen=True, slots=True)
class ErrorActivity:
    """An error group that is neither resolved nor ignored. Times are microseconds UTC."""

    id: int
    app: str
    error_type: str
    message: str
    state: str
    first_at: int
    last_at: int
    hours: tuple[int, ...]
    """Failures in each of the last 24 clock hours, those without any too; the newest last and incomplete."""
    newest: tuple[int, ...]
    """Times of its newest failures in the last hour, at most `MOST`: every attempt of killed processes, otherwise each task once."""
    releases: tuple[str, ...]
    """The releases of some of the newest failures; "" where unknown."""
    has_releases: bool
    """Whether processes of the app run several releases: otherwise the release is no evidence."""
    names: Mapping[tuple[Scope, str], int]
    """Its stored failures by task name, each at least one."""
    unended: int = 0
    """Of the newest tasks that were killed with their process, those that are queued or running again."""


def find(error: ErrorActivity, names: Mapping[tuple[Scope, str], NameActivity], at: int) -> Finding | None:
    """Returns the finding, or None if the error is as frequent as usual, has ended, or is too rare to judge."""
    if error.error_type == KILLED:
        return _killed(error, names, at)
    recent = len(error.newest)
    if recent < LEAST or error.error_type in OTHERS or at - error.last_at > _quiet_us(error, at) or _is_cured(error, names):
        return None
    failures = max(recent, sum(error.hours[-2:])) if recent >= MOST else recent
    earlier = error.hours[:-2]  # the hour before this one holds a part of the last 60 minutes
    past = baseline(earlier)
    is_new = at - error.first_at <= HOUR_US
    if not is_new and error.state != "regressed" and failures < _limit(earlier, past):
        return None
    word = "new" if is_new else "regressed" if error.state == "regressed" else "rising"
    subjects = _by_failures(error)
    where = subjects[0][1] if subjects else error.app
    more = f" and {plural(len(subjects) - 1, 'more name')}" if len(subjects) > 1 else ""
    scope = _common([subject[0] for subject in subjects]) if subjects else Scope(error.app)
    about = f"over {number(failures)} failures" if recent >= MOST else plural(failures, "failure")
    return Finding(
        kind="error", subject=str(error.id), level="bad" if failures >= MANY or is_new else "warn",
        weight=min(280 + 40 * len(str(failures)) + (60 if is_new else 0), 560),
        title=f"{error.error_type} in {where}{more}", text=f"{word}, {about} in the last hour{_release(error)}",
        why=(f"{error.message[:160]} · " if error.message else "") + _compared(past, is_new=is_new),
        scope=scope, since=error.first_at if is_new else None,
        action=Link(f"Review {number(failures)} and retry…", f"/errors/{error.id}", "operator"),
        evidence=(
            Link("the error", f"/errors/{error.id}"),
            *(Link(f"failed {name}", tasks_href(of, name=name, state=BAD, since="1h")) for of, name in subjects[:NAMED]),
        ),
        curve=tuple(float(count) for count in error.hours), curve_of="failures per hour in the last day",
        explains=tuple(key_of("failing_more", *subject) for subject in subjects if _is_most(error, subject, names)),
    )  # fmt: skip


def _killed(error: ErrorActivity, names: Mapping[tuple[Scope, str], NameActivity], at: int) -> Finding | None:
    """A message that kills each process that runs it: its task is not lost while a broker redelivers it, so attempts are counted."""
    times = sum(error.hours[-2:])
    if times < LEAST_KILLS or not error.names or at - error.last_at > RECENT_MIN * MINUTE_US:
        return None
    scope, name = _by_failures(error)[0]
    is_quiet_now = len(error.newest) > 1 and is_quiet(at, min(error.newest), error.last_at, len(error.newest))
    if is_quiet_now and not error.unended and _ran_since(names.get((scope, name)), error.last_at):
        return None  # none of them is delivered again, and workers run such tasks
    return Finding(
        kind="killed", subject=name, level="bad", weight=min(620 + 20 * times, 850),
        title=f"{name} kills its worker process", text=f"{plural(times, 'time')} in this hour and the previous one",
        why="its tasks may be redelivered and kill the next process. Common causes: out of memory, a crash in native code, a signal",
        scope=scope, since=error.first_at if at - error.first_at <= HOUR_US else None,
        action=Link("Review these tasks…", f"/errors/{error.id}"),
        curve=tuple(float(count) for count in error.hours), curve_of="killed attempts per hour in the last day",
        explains=(key_of("failing_more", scope, name),),
    )  # fmt: skip


def _ran_since(activity: NameActivity | None, last_at: int) -> bool:
    """Whether a run succeeded in or after the minute of the last failure."""
    if activity is None:
        return False
    since = activity.last(_minutes_ago(last_at, activity.at) + 1)
    return since.ended > since.bad


def _minutes_ago(time: int, newest_at: int) -> int:
    """In which of the minutes a time is, 0 for the newest, which begins at `newest_at`, and for later times."""
    return max(newest_at - time + MINUTE_US - 1, 0) // MINUTE_US


def _by_failures(error: ErrorActivity) -> list[tuple[Scope, str]]:
    """Its task names, those with the most failures first."""
    return sorted(error.names, key=lambda subject: (-error.names[subject], subject))


def _limit(earlier: Sequence[int], past: Usual) -> float:
    """The failures per hour from which a known group is reported as rising."""
    busiest = sorted(earlier)[-(len(earlier) // BUSIEST) :]
    mean = sum(busiest) / len(busiest)
    return max(past.above(factor=FACTOR, mads=MADS), mean + CERTAIN * math.sqrt(mean + 1), LEAST_RISING)


def _quiet_us(error: ErrorActivity, at: int) -> int:
    """Time without a failure after which the finding ends."""
    span = at - min(error.newest)
    return max(QUIET_US, GAPS * span // len(error.newest))


def _is_cured(error: ErrorActivity, names: Mapping[tuple[Scope, str], NameActivity]) -> bool:
    """Whether much fewer of the newest runs of its names failed than at its worst. One failure does not keep the finding open."""
    activities = [names[subject] for subject in error.names if subject in names]
    if not activities:
        return False
    newest_at = activities[0].at
    ended = [sum(each.ended for each in minute) for minute in zip(*(activity.minutes for activity in activities), strict=True)]
    failed = [0] * len(ended)
    for time in error.newest:
        if (ago := _minutes_ago(time, newest_at)) < len(failed):
            failed[-1 - ago] += 1
    for minutes in CURED_MIN:
        runs, failures = sum(ended[-minutes:]), sum(failed[-minutes:])
        expected = runs * _worst(ended[:-minutes], failed[:-minutes])
        if runs >= LEAST_RUNS and expected >= EXPECTED and failures <= expected / OVER:
            return True
    return False


def _worst(ended: Sequence[int], failed: Sequence[int]) -> float:
    """The largest failure rate in consecutive minutes."""
    parts = [(sum(ended[at : at + LATEST_MIN]), sum(failed[at : at + LATEST_MIN])) for at in range(len(ended) - LATEST_MIN + 1)]
    return max((min(failures / max(runs, 1), 1.0) for runs, failures in parts if failures >= LEAST), default=0.0)


def _release(error: ErrorActivity) -> str:
    """A phrase if all of the newest failures are on the same release, otherwise ""."""
    known = Counter(release for release in error.releases if release)
    if not error.has_releases or len(known) != 1 or known.total() < len(error.releases):
        return ""
    return f"; the newest {number(known.total())} are all on release {next(iter(known))}"


def _compared(past: Usual, *, is_new: bool) -> str:
    return "first seen within the last hour" if is_new else f"usually {number(past.median)} per hour, in the last {past.samples} hours"


def _common(scopes: Sequence[Scope]) -> Scope:
    """The common part of the scopes."""
    return Scope(*(each[0] if len(set(each)) == 1 else "" for each in zip(*scopes, strict=True)))


def _is_most(error: ErrorActivity, subject: tuple[Scope, str], names: Mapping[tuple[Scope, str], NameActivity]) -> bool:
    """Whether most failures of a name are of this group. Counts by name exist for all stored failures, so the newest ones are
    distributed in the same proportion."""
    activity = names.get(subject)
    if activity is None:
        return False
    share = error.names[subject] / sum(error.names.values())
    recent = max(len(error.newest), sum(error.hours[-2:]) if len(error.newest) >= MOST else 0)
    return recent * share >= SHARE * activity.last(60).bad
