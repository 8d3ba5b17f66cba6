# SPDX-License-Identifier: AGPL-3.0-or-later
"""A group of failures is new, came back after it was resolved, or rises against its own hours before."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from z4j.formats import number, plural
from z4j.rules.findings.activity import BAD, NameActivity
from z4j.rules.findings.baselines import Usual, usual
from z4j.rules.findings.finding import Finding, Link, Scope, key_of, tasks_href
from z4j.rules.findings.fleet.restarts import KILLED, LEAST_KILLS, RECENT_MIN
from z4j.rules.findings.fleet.unregistered import UNKNOWN
from z4j.rules.rollups import HOUR_US, MINUTE_US

LEAST: Final = 5
"""Failures of the last hour from which on it is found."""
LEAST_RISING: Final = 8
"""The same of a group that is neither new nor regressed: rare errors come in bursts."""
FACTOR: Final = 3.0
MADS: Final = 6.0
CERTAIN: Final = 4.0
"""Standard deviations that the failures have to lie above the mean of the earlier hours."""
QUIET_US: Final = 5 * MINUTE_US
GAPS: Final = 3
"""It is over after five minutes without a failure, or after three times the mean time between two, whichever is longer."""
MANY: Final = 50
MOST: Final = 500
"""Newest failures that are looked at; with more of them in an hour the number of the hours counts."""
SHARE: Final = 0.8
"""Share of the failures of a task name that are of this group from which on the name is not found as well."""
OTHERS: Final = (UNKNOWN, "lost")
"""Groups without an exception: findings of names and processes say more."""
NAMED: Final = 2


@dataclass(frozen=True, slots=True)
class ErrorActivity:
    """A group of failures that nobody has resolved or ignored. Times are microseconds UTC."""

    id: int
    app: str
    error_type: str
    message: str
    state: str
    first_at: int
    last_at: int
    hours: tuple[int, ...]
    """Failures of the last 24 hours, each from its full hour on, the newest last and only begun."""
    newest: tuple[int, ...]
    """The times of its newest failures within the last hour, at most `MOST`."""
    releases: tuple[str, ...]
    """The releases that some of the newest ran; "" where it is not known."""
    has_releases: bool
    """Whether processes of the app run several releases: only then its release says something."""
    names: Mapping[tuple[Scope, str], int]
    """Its failures by task name, of all that are stored."""


def find(error: ErrorActivity, names: Mapping[tuple[Scope, str], NameActivity], at: int) -> Finding | None:
    """Returns the finding, or None while it is as frequent as usual, over, or too rare to tell."""
    if error.error_type == KILLED:
        return _killed(error, at)
    recent = len(error.newest)
    if recent < LEAST or error.error_type in OTHERS or at - error.last_at > _quiet_us(error, at):
        return None
    failures = max(recent, sum(error.hours[-2:])) if recent >= MOST else recent
    earlier = error.hours[:-2]  # the hour before this one holds a part of the last 60 minutes
    past = usual([float(count) for count in earlier])
    is_new = at - error.first_at <= HOUR_US
    if not is_new and error.state != "regressed" and failures < _limit(error.hours[:-2], past):
        return None
    word = "new" if is_new else "came back" if error.state == "regressed" else "rises"
    subjects = sorted(error.names, key=lambda subject: (-error.names[subject], subject))
    where = subjects[0][1] if subjects else error.app
    more = f" and {plural(len(subjects) - 1, 'more name')}" if len(subjects) > 1 else ""
    scope = _common([subject[0] for subject in subjects]) if subjects else Scope(error.app)
    about = f"over {number(failures)} failures" if recent >= MOST else plural(failures, "failure")
    return Finding(
        kind="error", subject=str(error.id), level="bad" if failures >= MANY or is_new else "warn",
        weight=min(280 + 40 * len(str(failures)) + (60 if is_new else 0), 560),
        title=f"{error.error_type} in {where}{more}", text=f"{word}, {about} in the last hour{_release(error)}",
        why=(f"{error.message[:160]} · " if error.message else "") + _compared(error, past.median if past else None, is_new=is_new),
        scope=scope, since=error.first_at if is_new else None,
        action=Link(f"Review {number(failures)} and retry…", f"/errors/{error.id}"),
        evidence=tuple(
            Link(f"failed {name}", tasks_href(of, name=name, state=BAD, since="1h")) for of, name in subjects[:NAMED]
        ),
        curve=tuple(float(count) for count in error.hours), curve_of="failures per hour in the last day",
        explains=tuple(key_of("failing_more", *subject) for subject in subjects if _is_most(error, subject, names)),
    )  # fmt: skip


def _killed(error: ErrorActivity, at: int) -> Finding | None:
    """A message that kills each process that takes it: its task is not lost as long as a broker delivers it again, so its attempts
    count."""
    times = sum(error.hours[-2:])
    if times < LEAST_KILLS or not error.names or at - error.last_at > RECENT_MIN * MINUTE_US:
        return None
    scope, name = max(error.names, key=lambda subject: (error.names[subject], subject))
    return Finding(
        kind="killed", subject=name, level="bad", weight=min(620 + 20 * times, 850),
        title=f"{name} kills its worker process", text=f"{plural(times, 'time')} in this hour and the last one",
        why="its tasks may be delivered again and kill the next process. Memory, a crash of native code or a signal ends a process",
        scope=scope, since=error.first_at if at - error.first_at <= HOUR_US else None,
        action=Link("Review these tasks…", f"/errors/{error.id}"),
        curve=tuple(float(count) for count in error.hours), curve_of="killed attempts per hour in the last day",
        explains=(key_of("failing_more", scope, name),),
    )  # fmt: skip


def _limit(earlier: Sequence[int], past: Usual | None) -> float:
    """The failures of an hour from which on a known group rises."""
    mean = sum(earlier) / max(len(earlier), 1)
    above = past.above(factor=FACTOR, mads=MADS) if past is not None else 0.0
    return max(above, mean + CERTAIN * math.sqrt(mean + 1), LEAST_RISING)


def _quiet_us(error: ErrorActivity, at: int) -> int:
    """How long there may be no failure until it is over."""
    span = at - min(error.newest)
    return max(QUIET_US, GAPS * span // len(error.newest))


def _release(error: ErrorActivity) -> str:
    """Says so where all of the newest failures ran the same release."""
    known = Counter(release for release in error.releases if release)
    if not error.has_releases or len(known) != 1 or known.total() < len(error.releases):
        return ""
    return f"; the last {number(known.total())} of them all on release {next(iter(known))}"


def _compared(error: ErrorActivity, median: float | None, *, is_new: bool) -> str:
    if is_new:
        return "first seen within the last hour"
    if median is None:
        return "there are too few earlier hours to compare with"
    return f"usually {number(median)} per hour, in the last {len(error.hours) - 2} hours"


def _common(scopes: Sequence[Scope]) -> Scope:
    """What the scopes have in common."""
    return Scope(*(each[0] if len(set(each)) == 1 else "" for each in zip(*scopes, strict=True)))


def _is_most(error: ErrorActivity, subject: tuple[Scope, str], names: Mapping[tuple[Scope, str], NameActivity]) -> bool:
    """Whether the failures of a name are mostly of this group. Its own are counted by name for all that are stored, so the newest are
    shared out like these."""
    activity, whole = names.get(subject), sum(error.names.values())
    if activity is None or not whole:
        return False
    share = error.names[subject] / whole
    bad = activity.last(60).bad
    recent = max(len(error.newest), sum(error.hours[-2:]) if len(error.newest) >= MOST else 0)
    return bad == 0 or recent * share >= SHARE * bad
