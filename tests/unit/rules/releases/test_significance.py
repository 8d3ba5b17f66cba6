# SPDX-License-Identifier: AGPL-3.0-or-later
"""Both tests against values computed by hand or known from the literature, and against many samples without a difference."""

from __future__ import annotations

import math
from collections import Counter
from random import Random

import pytest

from z4j.rules.releases.significance import EXACT, histograms_differ, shares_differ


@pytest.mark.parametrize(
    ("bad", "of", "other_bad", "other_of", "p"),
    [
        (3, 4, 1, 4, 0.485714),  # the lady who tastes tea
        (4, 4, 0, 4, 2 / 70),
        (1, 10, 9, 10, 0.00109333),
        (0, 50, 0, 50, 1.0), (50, 50, 50, 50, 1.0), (0, 0, 1, 5, 1.0), (1, 5, 0, 0, 1.0),
        (10, 100, 10, 100, 1.0),
    ],
)  # fmt: skip
def test_fishers_exact_test(bad: int, of: int, other_bad: int, other_of: int, p: float) -> None:
    assert shares_differ(bad, of, other_bad, other_of) == pytest.approx(p, rel=1e-4)
    assert shares_differ(other_bad, other_of, bad, of) == pytest.approx(p, rel=1e-4)


def test_fishers_test_equals_the_sum_of_all_probabilities() -> None:
    chance = Random(11)
    for _ in range(300):
        of, other_of = chance.randint(1, 60), chance.randint(1, 60)
        bad, other_bad = chance.randint(0, of), chance.randint(0, other_of)
        all_bad, ways = bad + other_bad, math.comb(of + other_of, bad + other_bad)
        each = [
            math.comb(of, here) * math.comb(other_of, all_bad - here) for here in range(min(of, all_bad) + 1) if all_bad - here <= other_of
        ]
        seen = math.comb(of, bad) * math.comb(other_of, other_bad)
        exact = sum(one for one in each if one <= seen) / ways
        assert shares_differ(bad, of, other_bad, other_of) == pytest.approx(exact, rel=1e-6), (bad, of, other_bad, other_of)


def test_a_result_far_from_chance_is_certain() -> None:
    assert shares_differ(0, 50_000, 50_000, 50_000) == 0.0
    assert shares_differ(50_000, 50_000, 0, 50_000) == 0.0
    assert shares_differ(900, 10_000, 100, 10_000) == shares_differ(100, 10_000, 900, 10_000) == 0.0, "less than 1e-40 of the most probable"


def test_many_failures_are_compared_by_the_normal_approximation() -> None:
    below, above = shares_differ(49_900, 1_000_000, 50_000, 1_000_000), shares_differ(50_001, 1_000_000, 50_101, 1_000_000)
    assert 49_900 + 50_000 < EXACT < 50_001 + 50_101
    assert below == pytest.approx(above, abs=0.005)
    assert shares_differ(80_000, 1_000_000, 70_000, 1_000_000) < 1e-8
    # z-test of two proportions: of 8 % and 7.8 % z = 4.27258, of 7.9 % and 7.92 % z = -0.42792
    assert shares_differ(80_000, 1_000_000, 39_000, 500_000) == pytest.approx(1.9322e-05, rel=1e-4)
    assert shares_differ(79_000, 1_000_000, 39_600, 500_000) == pytest.approx(0.66871, rel=1e-4)
    assert EXACT == 100_000
    assert shares_differ(100_000, 100_000, 0, 1) == pytest.approx(1 / 100_001), "the last that is exact"
    assert shares_differ(100_001, 100_001, 0, 1) == pytest.approx(0.0, abs=1e-9), "which the approximation is not for a single run"


def test_the_mann_whitney_test() -> None:
    assert histograms_differ({1: 5}, {2: 5}).larger == 0.0
    assert histograms_differ({2: 5}, {1: 5}).larger == 1.0
    same = histograms_differ({1: 9, 2: 9}, {1: 9, 2: 9})
    assert (same.larger, same.p) == (0.5, 1.0)
    # 1 to 10 against 6 to 15: U = 12.5 of 100, corrected for five ties
    shifted = histograms_differ(dict.fromkeys(range(1, 11), 1), dict.fromkeys(range(6, 16), 1))
    assert shifted.larger == pytest.approx(0.125)
    assert shifted.p == pytest.approx(0.0045105, rel=1e-4)
    # U = 150 of 400; 15 and 25 values are tied, so the variance is 400 / 12 * (41 - (3,360 + 15,600) / (40 * 39)), and z = -1.61244
    assert histograms_differ({1: 10, 2: 10}, {1: 5, 2: 15}) == pytest.approx((0.10687, 0.375), rel=1e-4)
    assert histograms_differ({1: 1}, {2: 1}) == pytest.approx((math.erfc(math.sqrt(0.5)), 0.0)), "z = -1"
    assert histograms_differ({}, {1: 5}) == (1.0, 0.5)
    assert histograms_differ({1: 5}, {1: 5}) == (1.0, 0.5)
    assert histograms_differ({1: 1}, {}) == (1.0, 0.5)


def test_a_count_below_zero_is_none() -> None:
    """Sums of minutes may be: what is known of a task can change after its minute was counted."""
    assert histograms_differ({1: 9, 3: -4}, {2: 7, 1: -2}) == histograms_differ({1: 9}, {2: 7})
    assert histograms_differ({1: -9}, {2: 7}) == (1.0, 0.5)


def test_chance_alone_is_found_as_often_as_it_says() -> None:
    chance, found = Random(5), 0
    for _ in range(400):
        first, second = (Counter(int(chance.gauss(20, 4)) for _ in range(200)) for _ in range(2))
        found += histograms_differ(first, second).p < 0.05
    assert 8 <= found <= 34, "about 20 of 400"


@pytest.mark.parametrize(
    "counts", [(0, 0, 0, 0), (0, 0, 9, 10), (9, 10, 0, 0), (0, 0, 5_000, 9_000), (5_000, 9_000, 0, 0), (0, 100, 0, 100)]
)
def test_without_runs_or_failures_nothing_differs(counts: tuple[int, int, int, int]) -> None:
    assert shares_differ(*counts) == 1.0


def test_where_all_fail_nothing_differs_and_one_failure_of_one_run_does() -> None:
    assert shares_differ(9_000, 9_000, 8_000, 8_000) == 1.0
    assert shares_differ(1, 1, 0, 99) == pytest.approx(0.01)
