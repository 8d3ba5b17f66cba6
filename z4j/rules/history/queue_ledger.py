# SPDX-License-Identifier: AGPL-3.0-or-later
"""The ledger of a queue: each task enqueued in an hour has ended, is running, is waiting, or is unaccounted for.

The number of unaccounted tasks is a lower bound: tasks that have been queued for 15 minutes, minus the highest depth that the broker has
reported since then and the tasks that busy workers may have prefetched. A broker delivers the oldest tasks first, so the oldest queued ones
are missing from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from z4j.rules.findings.activity import QueueActivity

FRESH_US: Final = 90_000_000
"""Maximum age of a broker's report for comparison with the queued tasks."""
SETTLED_MIN: Final = 15
"""Minutes within which late events arrive."""
LEAST_REPORTS: Final = 8
"""Of these minutes."""


class LedgerHour(NamedTuple):
    """The tasks of a queue that were first seen in the hour that begins at `at` (microseconds UTC), by their current state. The producer
    reported `sent` of them, each of which is one of `queued` to `ended`; `unmonitored` ran without such a report."""

    at: int
    sent: int = 0
    queued: int = 0
    waiting: int = 0
    """Scheduled, received by a worker, or waiting to be retried."""
    running: int = 0
    ended: int = 0
    unmonitored: int = 0


class Ledger(NamedTuple):
    """The hours of a queue. Queued tasks that were first seen before `until` (microseconds UTC) are unaccounted for; None if not read."""

    hours: Sequence[LedgerHour] = ()
    until: int | None = None


NO_LEDGER: Final = Ledger()


class Balance(NamedTuple):
    """An hour with its unaccounted tasks; None if unknown. It is known for an hour without queued tasks."""

    hour: LedgerHour
    unaccounted: int | None

    @property
    def waiting(self) -> int:
        """Waiting tasks: in the broker (if known), in a worker, delayed, or waiting for a retry."""
        return self.hour.queued + self.hour.waiting - (self.unaccounted or 0)


def unaccounted_tasks(queue: QueueActivity) -> int | None:
    """Returns the minimum number of unaccounted tasks of a queue; None if its broker does not report often enough."""
    last = queue.minutes[-SETTLED_MIN:]
    depths = [minute.depth for minute in last if minute.depth is not None]
    if queue.depth is None or queue.reported_us is None or queue.reported_us > FRESH_US or len(depths) < LEAST_REPORTS:
        return None
    settled = queue.queued - sum(minute.entered for minute in last)
    return max(settled - max(*depths, queue.depth) - (queue.delayed or 0) - queue.may_hold, 0)


def balance(hours: Sequence[LedgerHour], unaccounted: int | None, earlier: int = 0) -> list[Balance]:
    """Distributes the unaccounted tasks over the hours, the oldest first; `earlier` queued tasks are older than all hours."""
    if unaccounted is None:
        return [Balance(hour, None if hour.queued else 0) for hour in hours]
    left, balanced = max(unaccounted - earlier, 0), []
    for hour in sorted(hours):
        of_hour = min(left, hour.queued)
        left -= of_hour
        balanced.append(Balance(hour, of_hour))
    return balanced


def queued_before(hours: Iterable[LedgerHour], queued: int) -> int:
    """Returns how many of a queue's queued tasks are older than its hours."""
    return max(queued - sum(hour.queued for hour in hours), 0)
