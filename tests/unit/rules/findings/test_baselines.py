# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is usual among earlier values."""

from __future__ import annotations

from z4j.rules.findings.baselines import Usual, baseline, usual


def test_one_outlier_changes_little() -> None:
    assert usual([10, 11, 9, 10, 12, 900]) == Usual(10.5, 1.0, 6)
    assert usual([1, 2, 3]) is None
    assert baseline([1, 2, 3]) == Usual(2.0, 1.0, 3), "of any number of values"
    assert usual([1, 2, 3], least=3) == Usual(2.0, 1.0, 3)
    assert usual([], least=0) is None
    assert usual([4], least=0) == usual([4], least=1) == Usual(4.0, 0.0, 1)


def test_limits_need_both_a_factor_and_a_distance() -> None:
    assert Usual(10, 1, 6).above(factor=2, mads=6) == 20
    assert Usual(10, 5, 6).above(factor=2, mads=6) == 40
    assert Usual(10, 1, 6).below(factor=0.3, mads=4) == 3
    assert Usual(10, 5, 6).below(factor=0.3, mads=4) == -10
