# SPDX-License-Identifier: AGPL-3.0-or-later
"""Verdicts of releases: 200 generated pairs, and what is said in words."""

from __future__ import annotations

from random import Random

import pytest

from z4j.rules.releases.verdicts import Side, Word, verdicts, worst
from z4j.rules.rollups import bucket_of


def side(chance: Random, runs: int, share: float, median_us: float, retried: float = 0.02) -> Side:
    ran: dict[int, int] = {}
    bad = retries = 0
    for _ in range(runs):
        bad += chance.random() < share
        retries += chance.random() < retried
        bucket = bucket_of(round(median_us * chance.lognormvariate(0, 0.6)))
        ran[bucket] = ran.get(bucket, 0) + 1
    return Side(runs, bad, runs, retries, ran)


def words(before: Side, after: Side) -> dict[str, Word]:
    return {verdict.measure: verdict.word for verdict in verdicts(before, after)}


def test_of_200_pairs_at_most_2_percent_are_wrong() -> None:
    chance, wrong, missed = Random(11), 0, 0
    for number in range(200):
        runs, other = chance.randint(60, 4_000), chance.randint(60, 4_000)
        share, median = chance.choice([0.0, 0.005, 0.02, 0.1]), chance.choice([3_000.0, 80_000.0, 4_000_000.0])
        before = side(chance, runs, share, median)
        if number % 2:
            wrong += any(word in ("worse", "better") for word in words(before, side(chance, other, share, median)).values())
            continue
        kind = chance.choice(["failures", "runtime", "retries"])
        after = side(
            chance, other, share + (0.05 if kind == "failures" else 0), median * (2.5 if kind == "runtime" else 1),
            0.10 if kind == "retries" else 0.02,
        )  # fmt: skip
        found = words(before, after)
        wrong += any(word == "better" or (word == "worse" and measure != kind) for measure, word in found.items())
        missed += found[kind] != "worse" and min(runs, other) >= 1_000
    assert wrong <= 4
    assert missed <= 3, "with a thousand runs on each side such changes are found"


def test_a_failure_share_that_went_from_half_a_percent_to_three_is_always_found() -> None:
    for seed in range(200):
        chance = Random(seed)
        before, after = side(chance, 2_000, 0.005, 50_000), side(chance, 2_000, 0.03, 50_000)
        assert words(before, after)["failures"] == "worse", seed


def test_too_few_runs_say_nothing() -> None:
    few, many = Side(49, 3, 49, 3, {4: 49}), Side(1_000, 30, 1_000, 30, {40: 1_000})
    assert set(words(few, many).values()) == set(words(many, few).values()) == {"too few runs"}
    assert worst(verdicts(few, many)) == "too few runs"
    assert worst(verdicts(Side(), Side())) == "too few runs"
    assert words(Side(327, 20, 327), Side(11, 7, 11))["failures"] == "worse", "the test is exact for any number"


def test_a_certain_difference_that_matters_to_nobody_is_none() -> None:
    before, after = Side(1_000_000, 50_000, 1_000_000, 0, {40: 1_000_000}), Side(1_000_000, 52_000, 1_000_000, 0, {40: 1_000_000})
    assert words(before, after)["failures"] == "no difference"


def test_it_is_better_when_it_fails_less_and_runs_quicker() -> None:
    before, after = Side(1_000, 100, 1_000, 200, {60: 1_000}), Side(1_000, 10, 1_000, 20, {52: 1_000})
    assert words(before, after) == {"failures": "better", "runtime": "better", "retries": "better"}
    assert worst(verdicts(before, after)) == "better"
    assert words(after, before) == {"failures": "worse", "runtime": "worse", "retries": "worse"}
    assert worst(verdicts(after, before)) == "worse"


def test_one_that_is_worse_counts_most() -> None:
    before, after = Side(1_000, 10, 1_000, 0, {60: 1_000}), Side(1_000, 100, 1_000, 0, {52: 1_000})
    assert worst(verdicts(before, after)) == "worse"
    assert worst(verdicts(before, Side(1_000, 10, 1_000, 0, {60: 10}))) == "no difference"


@pytest.mark.parametrize(
    ("bad", "text"),
    [(30, "30 of 1,000 (3.0%) failed, 5 of 1,000 (0.5%) before (Fisher's exact test, p < 0.0001)"),
     (6, "6 of 1,000 (0.6%) failed, 5 of 1,000 (0.5%) before (Fisher's exact test, p = 1.00)")],
)  # fmt: skip
def test_the_text_names_the_test_and_the_sample(bad: int, text: str) -> None:
    assert verdicts(Side(1_000, 5), Side(1_000, bad))[0].text == text
