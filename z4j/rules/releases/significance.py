# SPDX-License-Identifier: AGPL-3.0-or-later
"""Two statistical tests: for two proportions, and for two histograms. Pure, without a library: both are a few lines, and the libraries that
contain them are larger than this program."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

EXACT: Final = 100_000
"""Up to this many failures the test is exact; with more, the normal approximation differs by less than 0.005."""
NEGLIGIBLE: Final = 1e-40
"""Results that are this much less probable than the most probable one add nothing to a p-value that is displayed."""


def shares_differ(bad: int, of: int, other_bad: int, other_of: int) -> float:
    """Returns the two-sided p-value of Fisher's exact test for `bad` of `of` and `other_bad` of `other_of`: the probability of a
    difference at least this large by chance. 1.0 without data."""
    if not of or not other_of or bad + other_bad in (0, of + other_of):
        return 1.0
    return _fisher(bad, of, other_bad, other_of) if bad + other_bad <= EXACT else _normal(bad, of, other_bad, other_of)


def _fisher(bad: int, of: int, other_bad: int, other_of: int) -> float:
    """Sums the probabilities of all results that are at most as probable as the observed one. Each is computed from its neighbour, from the
    mean outwards, which needs neither logarithms nor the results far away; 0.0 if the observed result is one of those."""
    all_bad = bad + other_bad
    odd = other_of - all_bad
    least, most = max(0, -odd), min(of, all_bad)
    middle = of * all_bad // (of + other_of)  # at most one from the most probable result
    relative, seen = [1.0], 1.0 if bad == middle else 0.0
    each = 1.0
    for here in range(middle, most):  # upwards
        each *= (of - here) * (all_bad - here) / ((here + 1) * (odd + here + 1))
        if each < NEGLIGIBLE:
            break
        relative.append(each)
        seen = each if here + 1 == bad else seen
    each = 1.0
    for here in range(middle, least, -1):  # downwards
        each *= here * (odd + here) / ((of - here + 1) * (all_bad - here + 1))
        if each < NEGLIGIBLE:
            break
        relative.append(each)
        seen = each if here - 1 == bad else seen
    limit = seen * (1 + 1e-9)
    return math.fsum(each for each in relative if each <= limit) / math.fsum(relative)


def _normal(bad: int, of: int, other_bad: int, other_of: int) -> float:
    pooled = (bad + other_bad) / (of + other_of)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / of + 1 / other_of))
    return _two_sided((bad / of - other_bad / other_of) / spread)


class Shift(NamedTuple):
    """How two histograms differ: the p-value of the Mann-Whitney test, and how often a value of the first is larger than one of the second
    (ties count half; 0.5: neither is)."""

    p: float
    larger: float


def histograms_differ(first: Mapping[int, int], second: Mapping[int, int]) -> Shift:
    """Compares tasks by bucket with the Mann-Whitney test, with the correction for ties: values of one bucket are equal."""
    n, m = (sum(count for count in each.values() if count > 0) for each in (first, second))
    if not n or not m:
        return Shift(1.0, 0.5)
    below, larger, ties = 0, 0.0, 0.0
    for bucket in sorted(first.keys() | second.keys()):
        mine, theirs = max(first.get(bucket, 0), 0), max(second.get(bucket, 0), 0)
        larger += mine * (below + theirs / 2)
        below += theirs
        tied = mine + theirs
        ties += tied**3 - tied
    whole = n + m
    variance = n * m / 12 * ((whole + 1) - ties / (whole * (whole - 1)))
    if variance <= 0:
        return Shift(1.0, 0.5)
    return Shift(_two_sided((larger - n * m / 2) / math.sqrt(variance)), larger / (n * m))


def _two_sided(z: float) -> float:
    return math.erfc(abs(z) / math.sqrt(2))
