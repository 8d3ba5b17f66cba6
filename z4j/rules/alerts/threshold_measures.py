# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the threshold of a rule measures, from whole minutes of one task name or one queue. Pure.

A measure with too few samples is None and never above its limit. Every measure uses whole minutes only, so that a dry run over the past
returns what was returned at the time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from z4j.exceptions import BadInput
from z4j.formats import duration, number, percent
from z4j.rules.findings.forecast import HORIZON_MIN, drain
from z4j.rules.history.ranges import added
from z4j.rules.rollups import percentile, share_within

MeasureName = Literal["failure_share", "failures", "slow", "absent", "depth", "oldest", "drain", "dead", "slow_starts"]
LONGEST_MIN: Final = 24 * 60
FAST_MIN, FAST_LONG_MIN, FAST_BURN = 5, 60, 14.4
SLOW_MIN, SLOW_LONG_MIN, SLOW_BURN = 30, 360, 6.0
"""Two windows of a service level objective: a short one that detects recovery, and a long one that ignores short bursts. The factors are
those of an objective over 30 days: 2 % of the error budget used in one hour, 5 % in six."""


class Threshold(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A limit: the measure over the last `minutes` is above `limit` (seconds for times, a share from 0 to 1 for shares).

    `least` is how many tasks there must be. `within_s` is for `slow_starts` only: `limit` is the allowed
    share of tasks that start later than that.
    """

    measure: MeasureName
    limit: float
    minutes: int = 5
    least: int = 20
    within_s: float = 0.0


@dataclass(frozen=True, slots=True)
class MinuteSample:
    """One minute of a task name or a queue. Histograms are by bucket of `rules.rollups`; None: no broker has reported it."""

    enqueued: int = 0
    started: int = 0
    ended: int = 0
    bad: int = 0
    ran: Mapping[int, int] = field(default_factory=dict)
    waited: Mapping[int, int] = field(default_factory=dict)
    depth: int | None = None
    oldest_us: int | None = None
    dead: int | None = None


NOTHING: Final = MinuteSample()
Samples = Sequence[MinuteSample]
"""Whole minutes without a gap, the newest last."""


@dataclass(frozen=True, slots=True)
class Measure:
    """`value` returns the measured value, None with too few samples, and `words` formats it. `of`: the kind of subject."""

    of: Literal["name", "queue"]
    what: str
    unit: Literal["share", "seconds", "count"]
    value: Callable[[Threshold, Samples], float | None]
    window: Callable[[Threshold], int] = lambda threshold: threshold.minutes
    """The window in minutes."""

    def words(self, value: float) -> str:
        """Returns a formatted value."""
        if self.unit == "share":
            return percent(value)
        return duration(int(value * 1_000_000)) if self.unit == "seconds" else number(round(value))

    def is_over(self, threshold: Threshold, samples: Samples) -> float | None:
        """Returns the value if it is above the limit, else None."""
        found = self.value(threshold, samples[-self.window(threshold) :])
        return found if found is not None and found > threshold.limit else None

    def check(self, threshold: Threshold) -> None:
        """Raises BadInput if the limit makes no sense for this measure."""
        if not 1 <= threshold.minutes <= LONGEST_MIN:
            raise BadInput("The window must be between 1 minute and 24 hours. No changes were made.")
        largest = 1.0 if self.unit == "share" else 1e12
        if not 0 <= threshold.limit < largest:
            kind = "a share below 100 %" if self.unit == "share" else "a number that is not negative"
            raise BadInput(f"The limit of “{self.what}” must be {kind}. No changes were made.")
        if threshold.least < 0 or threshold.within_s < 0:
            raise BadInput("The number of tasks and the time to start cannot be negative. No changes were made.")
        if threshold.measure == "slow_starts" and (threshold.within_s <= 0 or threshold.limit <= 0):
            raise BadInput("An objective needs a maximum time to start and the share of tasks that may start later. No changes were made.")


def _failure_share(threshold: Threshold, samples: Samples) -> float | None:
    ended = sum(minute.ended for minute in samples)
    return sum(minute.bad for minute in samples) / ended if ended >= max(threshold.least, 1) else None


def _failures(threshold: Threshold, samples: Samples) -> float | None:
    return float(sum(minute.bad for minute in samples))


def _slow(threshold: Threshold, samples: Samples) -> float | None:
    ran = added(minute.ran for minute in samples)
    if sum(ran.values()) < max(threshold.least, 1):
        return None
    found = percentile(ran, 0.95)
    return None if found is None else found / 1_000_000


def _absent(threshold: Threshold, samples: Samples) -> float | None:
    """Seconds since the last minute with a start; the length of the window if there is none."""
    for age, minute in enumerate(reversed(samples)):
        if minute.started:
            return age * 60.0
    return len(samples) * 60.0


def _last(samples: Samples, of: str) -> float | None:
    values = [value for minute in samples if (value := getattr(minute, of)) is not None]
    return float(values[-1]) if values else None


def _depth(threshold: Threshold, samples: Samples) -> float | None:
    return _last(samples, "depth")


def _oldest(threshold: Threshold, samples: Samples) -> float | None:
    age = _last(samples, "oldest_us")
    return None if age is None else age / 1_000_000


def _dead(threshold: Threshold, samples: Samples) -> float | None:
    return _last(samples, "dead")


def _drain(threshold: Threshold, samples: Samples) -> float | None:
    depth = _last(samples, "depth")
    if depth is None:
        return None
    forecast = drain(int(depth), [minute.enqueued for minute in samples], [minute.started for minute in samples])
    if forecast is None:
        return None
    return (HORIZON_MIN if forecast.low is None else forecast.low) * 60.0


def _burn(threshold: Threshold, samples: Samples) -> float | None:
    """The share that started late in the shorter of two windows, if both burn the error budget too fast."""
    for short, long, factor in ((FAST_MIN, FAST_LONG_MIN, FAST_BURN), (SLOW_MIN, SLOW_LONG_MIN, SLOW_BURN)):
        shares = [_late(threshold, samples[-minutes:]) for minutes in (short, long)]
        least = min(factor * threshold.limit, 0.999)  # below an objective of 93 % the factor would exceed 100 %
        if all(share is not None and share > least for share in shares):
            return shares[0]
    return None


def _late(threshold: Threshold, samples: Samples) -> float | None:
    waited = added(minute.waited for minute in samples)
    if sum(waited.values()) < max(threshold.least, 1):
        return None
    within = share_within(waited, int(threshold.within_s * 1_000_000))
    return None if within is None else 1.0 - within


MEASURES: Final[dict[MeasureName, Measure]] = {
    "failure_share": Measure("name", "failure rate", "share", _failure_share),
    "failures": Measure("name", "failed runs", "count", _failures),
    "slow": Measure("name", "p95 runtime", "seconds", _slow),
    "absent": Measure("name", "time since the last start", "seconds", _absent, lambda threshold: int(threshold.limit // 60) + 2),
    "depth": Measure("queue", "waiting tasks", "count", _depth),
    "oldest": Measure("queue", "age of the oldest waiting task", "seconds", _oldest),
    "drain": Measure("queue", "time to drain", "seconds", _drain, lambda threshold: max(threshold.minutes, 15)),
    "dead": Measure("queue", "dead letters", "count", _dead),
    "slow_starts": Measure("queue", "share of late starts", "share", _burn, lambda threshold: SLOW_LONG_MIN),
}
"""Every measure; the order is that of the form."""


def window_of(threshold: Threshold) -> int:
    """Returns the window of the threshold in minutes."""
    return MEASURES[threshold.measure].window(threshold)
