# SPDX-License-Identifier: AGPL-3.0-or-later
"""Turns the histograms of rollups into those of Prometheus, without guessing: a bound is the longest whole microsecond of a bucket, so the
tasks below it are known exactly."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Final

LAST_BUCKETS: Final = tuple(range(39, 128, 8))
"""The buckets whose ends are bounds: 2^10 µs (1 ms), then four times as much each, up to 2^32 µs (72 minutes). Bucket n ends before
2^((n+1)/4) µs."""
BOUNDS_US: Final = tuple((1 << (last + 1) // 4) - 1 for last in LAST_BUCKETS)
"""A whole number of microseconds is below 2^k exactly where it is at most 2^k - 1."""
BOUNDS: Final = tuple(f"{us / 1_000_000:.6f}" for us in BOUNDS_US)
"""The bounds in seconds, as `le` has them."""


def cumulative(buckets: Mapping[int, int]) -> list[int]:
    """Returns how many tasks lie at or below each of `BOUNDS`, and how many there are in all as the last number."""
    counts = [0] * (len(LAST_BUCKETS) + 1)
    for bucket, tasks in buckets.items():
        counts[bisect_left(LAST_BUCKETS, bucket)] += tasks
    for index in range(1, len(counts)):
        counts[index] += counts[index - 1]
    return counts


def index_of(us: int) -> int:
    """Returns the index of the first bound that a duration in microseconds does not exceed; that of +Inf beyond all."""
    return bisect_left(BOUNDS_US, us)
