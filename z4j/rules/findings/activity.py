# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is known of the last hour of a task name and of a queue, and of the same hours before: the input of the rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from z4j.rules.findings.finding import Scope
from z4j.rules.rollups import percentile

RECENT_MIN: Final = 15
"""Minutes that count as now. A finding ends when the newest `LATEST_MIN` of them are as usual again."""
LATEST_MIN: Final = 4
BAD: Final = ("failed", "lost", "rejected", "expired")


class Counts(NamedTuple):
    """Tasks of some minutes: started, ended, of these ended badly, and retries (attempts after the first one)."""

    started: int = 0
    ended: int = 0
    bad: int = 0
    retried: int = 0

    def __add__(self, other: object) -> Counts:
        """Adds two together."""
        assert isinstance(other, Counts)
        return Counts(*map(int.__add__, self, other))

    @property
    def bad_share(self) -> float:
        """Share of the ended ones that ended badly; 0 without any."""
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
    """One task name in one app, environment and engine. `minutes` are the last 60, the newest last and only begun; `ran` the runtimes of
    the last `RECENT_MIN` of them by bucket, `latest_ran` those of the last `LATEST_MIN`. `usual` are earlier hours to compare with, also
    those without tasks; `usual_of` is how they are called."""

    scope: Scope
    name: str
    at: int
    """The beginning of the newest minute, microseconds UTC."""
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
    """The beginning of the newest minute, microseconds UTC."""
    depth: int | None
    oldest_us: int | None
    consumers: int | None
    delayed: int | None
    dead: int | None
    queued: int
    running: int
    concurrency: int
    """Tasks that the workers of this queue can run at a time; 0: not known."""
    is_paused: bool
    reported_us: int | None
    """How long ago the last report came."""
    minutes: tuple[QueueMinute, ...]
    names: Mapping[str, int] = field(default_factory=dict)

    @property
    def backlog(self) -> int:
        """Tasks that wait: as the broker reports them, else as they were reported."""
        return self.queued if self.depth is None else self.depth
