# SPDX-License-Identifier: AGPL-3.0-or-later
"""The first label sets keep a series of their own, whatever comes later."""

from __future__ import annotations

from z4j.rules.metrics.label_limits import LONGEST, LabelLimit, value_of


def test_later_label_sets_are_summed_up() -> None:
    limit = LabelLimit(2)
    first, second, third = ("shop", "a", "1"), ("shop", "b", "1"), ("shop", "c", "1")
    assert limit.fit(first) == first
    assert limit.fit(second) == second
    assert limit.fit(third) == ("shop", "others", "others")
    assert limit.fit(third, kept=0) == ("others", "others", "others")
    assert limit.fit(first) == first, "it stays where it was counted before"
    assert limit.hidden == 1


def test_a_hostile_app_does_not_grow_memory() -> None:
    limit = LabelLimit(10)
    for number in range(200_000):
        limit.fit(("shop", str(number)))
    assert limit.hidden == 100_000
    assert len(limit._known) == 10


def test_long_texts_are_cut() -> None:
    assert value_of("a" * LONGEST) == "a" * LONGEST
    assert value_of("a" * 10_000) == "a" * (LONGEST - 1) + "…"
