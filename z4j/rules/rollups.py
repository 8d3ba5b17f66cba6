# SPDX-License-Identifier: AGPL-3.0-or-later
"""Decides what a task adds to the sums per minute, hour and day, and reads percentiles from their histograms.

Everything here adds up: sums of two ranges or of two groups are the sum of both. A task is counted at three moments: its enqueue (under
no release: the one that runs it is not known yet), its last start, its end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

from z4j.rules.tasks.states import FINAL_CODES, STATES

MINUTE_US: Final = 60_000_000
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US

MINUTE, HOUR, DAY = 0, 1, 2
STEP_US: Final = (MINUTE_US, HOUR_US, DAY_US)
"""Length of each step in microseconds."""
KEPT_US: Final = (48 * HOUR_US, 100 * DAY_US, None)
"""How long the sums of each step are kept; None: without end."""

WAITS: Final = 256
"""Where the buckets of waits begin; those of runtimes begin at 0."""

ENDS: Final = ("succeeded", "failed", "cancelled", "expired", "rejected", "lost")
COLUMNS: Final = ("enqueued", "started", "retried", "waited", "waited_us", "ran", "ran_us", *ENDS)
"""The sums, in the order of the columns of `rollup`."""
_END_COLUMN: Final = {STATES[name]: COLUMNS.index(name) for name in ENDS}
assert _END_COLUMN.keys() == FINAL_CODES
_STARTED, _RETRIED, _WAITED, _RAN = (COLUMNS.index(name) for name in ("started", "retried", "waited", "ran"))


class Share(NamedTuple):
    """What a task adds at one moment: (index in `COLUMNS`, how much) of each sum, and one to a bucket (-1: to none)."""

    sums: tuple[tuple[int, int], ...]
    bucket: int


AT_ENQUEUE: Final = Share(((COLUMNS.index("enqueued"), 1),), -1)


def at_start(attempt: int, waited_us: int | None) -> Share:
    """Returns what a task adds at the start of its attempt `attempt` (0 is the first) after a wait of `waited_us`, None where that is not
    known."""
    started = ((_STARTED, 1), (_RETRIED, attempt)) if attempt else ((_STARTED, 1),)
    if waited_us is None:
        return Share(started, -1)
    return Share((*started, (_WAITED, 1), (_WAITED + 1, waited_us)), WAITS + bucket_of(waited_us))


def at_end(state: int, runtime_us: int | None) -> Share:
    """Returns what a task adds when it ends in the state with this code after running for `runtime_us`, None where that is not known."""
    ended = (_END_COLUMN[state], 1)
    if runtime_us is None:
        return Share((ended,), -1)
    return Share((ended, (_RAN, 1), (_RAN + 1, runtime_us)), bucket_of(runtime_us))


def waited_us(attempt: int, enqueued: int | None, eta: int | None, received: int | None, started: int | None) -> int | None:
    """Returns how long an attempt waited: from its enqueue (the first one) or its eta, else from its receipt. None where either end is not
    known; never negative, because the two ends may be by the clocks of two hosts."""
    ready = max((at for at in (enqueued if attempt == 0 else None, eta) if at is not None), default=received)
    return None if started is None or ready is None else max(0, started - ready)


# -- histograms ------------------------------------------------------------------------------------------------------------
def bucket_of(us: int) -> int:
    """Returns the bucket of a duration in microseconds: bucket n holds those from 2^(n/4) up to 2^((n+1)/4)."""
    if us <= 1:
        return 0
    power = us.bit_length() - 1
    fourth, low = us**4, 1 << 4 * power
    return 4 * power + (fourth >= low << 1) + (fourth >= low << 2) + (fourth >= low << 3)


def bounds(bucket: int) -> tuple[float, float]:
    """Returns the shortest and the longest duration of a bucket, in microseconds."""
    return float(2.0 ** (bucket / 4)), float(2.0 ** ((bucket + 1) / 4))


def percentile(buckets: Mapping[int, int], share: float) -> float | None:
    """Returns an estimate in microseconds of the duration that `share` (0 to 1) of the tasks do not exceed, from tasks by bucket; None
    without any. The true value lies in the same bucket, whose bounds are a factor of 2^(1/4) apart, and the estimate is the middle of it:
    the error is at most 9.1 %, whatever the durations are."""
    total = sum(count for count in buckets.values() if count > 0)
    if not total:
        return None
    rank, below, last = max(share * total, 1e-9), 0, 0
    for bucket in sorted(buckets):
        if (count := buckets[bucket]) <= 0:
            continue
        last, below = bucket, below + count
        if below >= rank:
            break
    low, high = bounds(last)
    return math.sqrt(low * high)


# -- ranges ----------------------------------------------------------------------------------------------------------------
def step_for(since: int, until: int, now: int, points: int = 120) -> int:
    """Returns the finest step whose sums are still kept for the range (microseconds UTC) and which needs at most `points` of them."""
    for step in (MINUTE, HOUR):
        kept = KEPT_US[step]
        if kept is not None and since >= now - kept and (until - since) <= points * STEP_US[step]:
            return step
    return DAY


def times(step: int, since: int, until: int) -> list[int]:
    """Returns the beginnings of all steps that a range touches, in microseconds UTC."""
    length = STEP_US[step]
    return list(range(since // length * length, until, length))
