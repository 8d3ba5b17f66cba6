# SPDX-License-Identifier: AGPL-3.0-or-later
"""Input of the rules: the last hour of a task name or a queue, and earlier hours to compare it with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from z4j.rules.findings.finding import Scope
from z4j.rules.rollups import percentile

RECENT_MIN: Final = 15
"""Minutes that count as the present. A finding ends when the newest `LATEST_MIN` of them are as usual again."""
LATEST_MIN: Final = 4
AHEAD: Final = {"dramatiq": 2, "taskiq": 1}
"""Tasks per unit of concurrency that a worker prefetches without reporting them, unless configured otherwise."""
BAD: Final = ("failed", "lost", "rejected", "expired")


class Counts(NamedTuple):
    """Tasks of some minutes: started, ended, ended in one of the states `BAD`, and retries (attempts after the first one)."""

    started: int = 0
    ended: int = 0
    bad: int = 0
    retried: int = 0

    def __add__(self, other: object) -> Counts:
        """Adds the counts."""
        assert isinstance(other, Counts)
        return Counts(*map(int.__add__, self, other))

    @property
    def bad_share(self) -> float:
        """Failure rate: share of the ended tasks that ended in one of the states `BAD`; 0 if none ended."""
        return self.bad / self.ended if self.ended else 0.0


class Hour(NamedTuple):
    """One earlier hour of a task name: its counts, and its runtimes by bucket."""

    counts: Counts
    ran: Mapping[int, int]

    def percentile(self, share: float, least: int) -> float | None:
        """Returns a percentile of the runtimes in microseconds; None with fewer than `least` of them."""
        return percentile(self.ran, share) if sum(self.ran.values()) >= least else None


@dataclass(frozen=True, slots=True)
class NameActivity:
    """One task name in one app, environment and engine. `minutes` are the last 60, the newest last and incomplete; `ran` the runtimes of
    the last `RECENT_MIN` of them by bucket, `latest_ran` those of the last `LATEST_MIN`. `usual` are earlier hours to compare with, also
    those without tasks; `usual_of` describes them."""

    scope: Scope
    name: str
    at: int
    """Start of the newest minute, microseconds UTC."""
    minutes: tuple[Counts, ...]
    ran: Mapping[int, int]
    latest_ran: Mapping[int, int]
    usual: tuple[Hour, ...]
    usual_of: str

    def last(self, minutes: int) -> Counts:
        """Returns the counts of the last minutes."""
        whole = Counts()
        for counts in self.minutes[-minutes:]:
            whole += counts
        return whole


class QueueMinute(NamedTuple):
    """One minute of a queue: the last depth that was reported, None without a report, and the tasks enqueued, started and dead."""

    depth: int | None = None
    entered: int = 0
    left: int = 0
    dead: int | None = None


@dataclass(frozen=True, slots=True)
class QueueActivity:
    """One queue. Ages are in microseconds; None: not reported. `queued` are the tasks that were reported as enqueued and not as received,
    `minutes` the last 60, the newest last, `names` the tasks enqueued in the last hour by task name."""

    scope: Scope
    name: str
    at: int
    """Start of the newest minute, microseconds UTC."""
    depth: int | None
    oldest_us: int | None
    consumers: int | None
    delayed: int | None
    dead: int | None
    queued: int
    running: int
    concurrency: int
    """Tasks that the workers of this queue can run at the same time; 0: unknown."""
    is_paused: bool
    reported_us: int | None
    """Age of the last report."""
    minutes: tuple[QueueMinute, ...]
    names: Mapping[str, int] = field(default_factory=dict)
    ahead: int = 0
    """Tasks that its workers may have prefetched from the broker without reporting them."""

    @property
    def may_hold(self) -> int:
        """Queued tasks that may be missing from the broker because busy workers may have prefetched them."""
        return self.ahead if self.running else 0

    @property
    def backlog(self) -> int:
        """Waiting tasks, as reported by the broker; otherwise the tasks reported as enqueued and not as received."""
        return self.queued if self.depth is None else self.depth


def taken_ahead(engine: str, concurrency: int, options: Mapping[str, str]) -> int:
    """Returns how many tasks of each of its queues a worker may prefetch before it reports them. Celery reports every prefetched task;
    RQ, Huey and arq prefetch nothing."""
    if engine not in AHEAD:
        return 0
    prefetch = options.get("prefetch", "")
    return int(prefetch) if prefetch.isascii() and prefetch.isdigit() else AHEAD[engine] * concurrency


def together(one: QueueActivity, other: QueueActivity) -> QueueActivity:
    """Combines a queue that exists in two brokers: tasks and minutes are known for both together. A value that one broker does not report
    is unknown for both."""
    ages = [age for age in (one.oldest_us, other.oldest_us) if age is not None]
    return replace(
        one, depth=_sum(one.depth, other.depth), oldest_us=max(ages, default=None), consumers=_sum(one.consumers, other.consumers),
        delayed=_sum(one.delayed, other.delayed), dead=_sum(one.dead, other.dead), is_paused=one.is_paused and other.is_paused,
        reported_us=None if one.reported_us is None or other.reported_us is None else max(one.reported_us, other.reported_us),
    )  # fmt: skip


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other
