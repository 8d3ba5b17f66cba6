# SPDX-License-Identifier: AGPL-3.0-or-later
"""The numbers of a histogram are those that counting the durations gives: nothing is estimated."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from z4j.rules.metrics.buckets import BOUNDS, BOUNDS_US, LAST_BUCKETS, cumulative, index_of
from z4j.rules.rollups import bucket_of


def test_a_bound_is_the_longest_duration_of_its_bucket() -> None:
    assert len(BOUNDS) == len(BOUNDS_US) == len(LAST_BUCKETS) == 12
    for last, us, text in zip(LAST_BUCKETS, BOUNDS_US, BOUNDS, strict=True):
        assert bucket_of(us) <= last < bucket_of(us + 1)
        assert text == f"{us // 1_000_000}.{us % 1_000_000:06}"
    assert BOUNDS[0] == "0.001023"
    assert BOUNDS[-1] == "4294.967295"


@given(st.lists(st.integers(0, 1 << 40), max_size=60))
@settings(deadline=None)
def test_counts_are_exact(durations: list[int]) -> None:
    found = cumulative(Counter(map(bucket_of, durations)))
    assert found == [sum(us <= bound for us in durations) for bound in BOUNDS_US] + [len(durations)]


def test_the_bound_of_a_duration() -> None:
    chance = random.Random(3)
    for us in (0, 1, 1_023, 1_024, *(chance.randrange(1 << 36) for _ in range(500))):
        index = index_of(us)
        assert index == sum(bound < us for bound in BOUNDS_US)
