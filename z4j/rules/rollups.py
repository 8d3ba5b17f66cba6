# SPDX-License-Identifier: AGPL-3.0-or-later
"""Decides what a task adds to the sums per minute, hour and day, and reads percentiles from their histograms.

Everything here adds up: sums of two ranges or of two groups are the sum of both. A task is counted at three moments: its enqueue (under
no release: the worker is still unknown), its last start, its end.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Final

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
_ENQUEUED, _STARTED, _RETRIED, _WAITED, _RAN = (COLUMNS.index(name) for name in ("enqueued", "started", "retried", "waited", "ran"))


def count_enqueue(sums: list[int], sign: int) -> None:
    """Adds to sums, in the order of `COLUMNS`, what a task adds at its enqueue; takes it out again with a `sign` of -1."""
    sums[_ENQUEUED] += sign


def count_start(sums: list[int], sign: int, attempt: int, waited_us: int | None) -> int:
    """The same at the start of its attempt `attempt` (0 is the first) after a wait of `waited_us`, None if unknown. Returns
    the bucket that counts it, -1 for none."""
    sums[_STARTED] += sign
    if attempt:
        sums[_RETRIED] += sign * attempt
    if waited_us is None:
        return -1
    sums[_WAITED] += sign
    sums[_WAITED + 1] += sign * waited_us
    return WAITS + bucket_of(waited_us)


def count_end(sums: list[int], sign: int, state: int, runtime_us: int | None) -> int:
    """Returns the same when it ends in the state with this code after running for `runtime_us`, None if unknown."""
    sums[_END_COLUMN[state]] += sign
    if runtime_us is None:
        return -1
    sums[_RAN] += sign
    sums[_RAN + 1] += sign * runtime_us
    return bucket_of(runtime_us)


def waited_us(attempt: int, enqueued: int | None, eta: int | None, received: int | None, started: int | None) -> int | None:
    """Returns how long an attempt waited: from its enqueue (the first one) or its eta, else from its receipt. None where either end is not
    known; never negative, because the two ends may be by the clocks of two hosts."""
    ready = max((at for at in (enqueued if attempt == 0 else None, eta) if at is not None), default=received)
    return None if started is None or ready is None else max(0, started - ready)


# -- histograms ------------------------------------------------------------------------------------------------------------
def _first_of(bucket: int) -> int:
    """The shortest whole duration of a bucket: the least n with n^4 >= 2^bucket."""
    whole = 1 << bucket
    root = math.isqrt(math.isqrt(whole))
    return root if root**4 >= whole else root + 1


_FIRSTS: Final = [_first_of(bucket) for bucket in range(1, WAITS)]
"""Of the buckets from 1 on. Those of some short durations are equal: such a bucket holds no whole number."""


def bucket_of(us: int) -> int:
    """Returns the bucket of a duration in microseconds: bucket n holds those from 2^(n/4) up to 2^((n+1)/4)."""
    return bisect_right(_FIRSTS, us)


def bounds(bucket: int) -> tuple[float, float]:
    """Returns the shortest and the longest duration of a bucket, in microseconds."""
    return float(2.0 ** (bucket / 4)), float(2.0 ** ((bucket + 1) / 4))


def percentile(buckets: Mapping[int, int], share: float) -> float | None:
    """Returns an estimate in microseconds of the duration that `share` (0 to 1) of the tasks do not exceed, from tasks by bucket; None
    without any. The true value lies in the same bucket, whose bounds are a factor of 2^(1/4) apart, and the estimate is the middle of it:
    the error is at most 9.1 %, whatever the durations are."""
    return at_shares(buckets, (share,))[0]


def at_shares(buckets: Mapping[int, int], shares: Sequence[float]) -> tuple[float | None, ...]:
    """Returns the same for several shares, which rise."""
    known = sorted([item for item in buckets.items() if item[1] > 0])
    if not known:
        return (None,) * len(shares)
    if len(known) == 1:
        return (_middle(known[0][0]),) * len(shares)
    sums = list(accumulate([count for _, count in known]))
    total, last, index = sums[-1], len(sums) - 1, 0
    found = []
    for share in shares:
        index = min(bisect_left(sums, share * total, index), last)
        found.append(_middle(known[index][0]))
    return tuple(found)


@lru_cache(512)
def _middle(bucket: int) -> float:
    low, high = bounds(bucket)
    return math.sqrt(low * high)


def share_within(buckets: Mapping[int, int], us: int) -> float | None:
    """Returns an estimate of the share of the tasks whose duration is at most `us` microseconds, from tasks by bucket; None without any.

    The tasks of the bucket that `us` lies in count by how much of it lies below."""
    total = sum(count for count in buckets.values() if count > 0)
    if not total:
        return None
    limit = bucket_of(us)
    low, high = bounds(limit)
    part = min(max((us - low) / (high - low), 0.0), 1.0)
    below = sum(count for bucket, count in buckets.items() if bucket < limit and count > 0)
    return (below + max(buckets.get(limit, 0), 0) * part) / total


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
