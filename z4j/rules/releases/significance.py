# SPDX-License-Identifier: AGPL-3.0-or-later
"""Two statistical tests: for two proportions, and for two histograms. Pure, without a library: both are a few lines, and the libraries that
contain them are larger than this program."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

EXACT: Final = 5_000
"""Up to this many failures the test is exact; with more, the normal approximation is equal in all displayed digits."""


def shares_differ(bad: int, of: int, other_bad: int, other_of: int) -> float:
    """Returns the two-sided p-value of Fisher's exact test for `bad` of `of` and `other_bad` of `other_of`: the probability of a
    difference at least this large by chance. 1.0 without data."""
    if not of or not other_of or bad + other_bad in (0, of + other_of):
        return 1.0
    return _fisher(bad, of, other_bad, other_of) if bad + other_bad <= EXACT else _normal(bad, of, other_bad, other_of)


def _fisher(bad: int, of: int, other_bad: int, other_of: int) -> float:
    whole, all_bad = of + other_of, bad + other_bad
    base = _log_choose(whole, all_bad)

    def log_p(here: int) -> float:
        return _log_choose(of, here) + _log_choose(other_of, all_bad - here) - base

    seen = log_p(bad) + 1e-9
    least, most = max(0, all_bad - other_of), min(of, all_bad)
    return min(math.fsum(math.exp(p) for here in range(least, most + 1) if (p := log_p(here)) <= seen), 1.0)


def _log_choose(whole: int, part: int) -> float:
    return math.lgamma(whole + 1) - math.lgamma(part + 1) - math.lgamma(whole - part + 1)


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
    variance = n * m / 12 * ((whole + 1) - ties / (whole * (whole - 1))) if whole > 1 else 0.0
    if variance <= 0:
        return Shift(1.0, 0.5)
    return Shift(_two_sided((larger - n * m / 2) / math.sqrt(variance)), larger / (n * m))


def _two_sided(z: float) -> float:
    return math.erfc(abs(z) / math.sqrt(2))
