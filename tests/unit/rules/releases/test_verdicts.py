# SPDX-License-Identifier: AGPL-3.0-or-later
"""Verdicts of releases: 200 generated pairs, and what is said in words."""

from __future__ import annotations

from random import Random

import pytest

from z4j.rules.releases import verdicts as verdicts_module
from z4j.rules.releases.verdicts import ALPHA, LEAST, SHARE_FACTOR, SHIFT, SPEED_FACTOR, WORDS, Side, Word, verdicts, worst
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


def test_limits_are_those_of_the_documents() -> None:
    assert (LEAST, ALPHA, SHARE_FACTOR, SHIFT, SPEED_FACTOR) == (50, 0.001, 1.25, 0.06, 1.1)
    assert WORDS == ("worse", "too few runs", "no difference", "better")
    assert (Side().ended, Side().bad, Side().started, Side().retried, Side().bad_share) == (0, 0, 0, 0, 0.0)
    assert Side(4, 1).bad_share == 0.25


def test_every_text() -> None:
    before, after = Side(1_000, 100, 1_000, 200, {60: 1_000}), Side(1_000, 10, 1_000, 20, {52: 1_000})
    assert [verdict.text for verdict in verdicts(before, after)] == [
        "10 of 1,000 (1.0%) failed, 100 of 1,000 (10%) before (Fisher's exact test, p < 0.0001)",
        "p50 8\u202fms, 35\u202fms before; p95 8\u202fms, 35\u202fms before (Mann-Whitney test, p < 0.0001)",
        "20 retries of 1,000 runs, 200 of 1,000 before (Fisher's exact test, p < 0.0001)",
    ]
    assert [verdict.text for verdict in verdicts(Side(), Side(1, 0, 1))] == [
        "0 of 1 (0%) failed, 0 of 0 before", "p50 –, – before; p95 –, – before", "0 retries of 1 runs, 0 of 0 before",
    ]  # fmt: skip
    assert [verdict.p for verdict in verdicts(Side(), Side(1, 0, 1))] == [1.0, 1.0, 1.0]
    assert [verdict.measure for verdict in verdicts(Side(), Side())] == ["failures", "runtime", "retries"]
    p = verdicts(Side(1_000, 5), Side(1_000, 20))[0]
    assert p.text.endswith("(Fisher's exact test, p = 0.0039)")
    assert 0.0038 < p.p < 0.004


def test_fifty_runs_are_enough() -> None:
    enough, few = Side(50, 1, 50, 1, {40: 50}), Side(49, 1, 49, 1, {40: 49})
    assert set(words(enough, enough).values()) == {"no difference"}
    assert set(words(few, enough).values()) == set(words(enough, few).values()) == {"too few runs"}
    assert words(Side(0, 0, 9, 9), Side(0, 0, 40, 0))["retries"] == "better", "few, but a certain difference"


def test_a_quarter_more_is_no_difference_and_more_than_that_is_one() -> None:
    def of(bad: int) -> Side:
        return Side(1_000_000, bad, 1_000_000, bad)

    for measure in ("failures", "retries"):
        assert [words(of(80_000), of(bad))[measure] for bad in (100_000, 100_001)] == ["no difference", "worse"]
        assert [words(of(100_000), of(bad))[measure] for bad in (80_000, 79_999)] == ["no difference", "better"]
    assert words(Side(0, 0, 100, 900), Side(0, 0, 100, 100))["retries"] == "no difference", "a run that is retried counts once"


def test_a_runtime_needs_a_shift_and_a_ratio() -> None:
    def of(slow: int, bucket: int = 44) -> Side:
        return Side(ran={40: 10_000 - slow, bucket: slow})

    assert [words(of(0), of(slow))["runtime"] for slow in (1_100, 1_300)] == ["no difference", "worse"], "more than 6 of 100"
    assert [words(of(slow), of(0))["runtime"] for slow in (1_100, 1_300)] == ["no difference", "better"]
    assert words(of(0), of(400))["runtime"] == "no difference", "the p95 is the same"
    both = Side(ran={40: 5_000, 41: 5_000}), Side(ran={40: 4_400, 41: 5_600})
    assert words(*both)["runtime"] == "no difference", "hardly more often slower"
    assert words(Side(ran={0: 1_000}), Side(ran={40: 1_000}))["runtime"] == "worse"


def test_too_few_runs_have_the_counts_and_no_doubt() -> None:
    few, many = Side(49, 3, 49, 3, {4: 49}), Side(1_000, 30, 1_000, 30, {40: 1_000})
    failures, runtime, retries = verdicts(few, many)
    assert failures == ("failures", "too few runs", "30 of 1,000 (3.0%) failed, 3 of 49 (6.1%) before", 1.0)
    assert (runtime.measure, runtime.word, runtime.p) == ("runtime", "too few runs", 1.0)
    assert retries == ("retries", "too few runs", "30 retries of 1,000 runs, 3 of 49 before", 1.0)
    assert verdicts(Side(10), many)[2] == ("retries", "too few runs", "30 retries of 1,000 runs, 0 of 0 before", 1.0)
    assert verdicts(many, Side(10))[2] == ("retries", "too few runs", "0 retries of 0 runs, 30 of 1,000 before", 1.0)


def test_a_certain_shift_without_another_percentile_is_no_difference() -> None:
    """Half of the runs moved to the next bucket, and the median and the 95th percentile are where they were."""
    quick, slow = Side(ran={40: 9_000, 41: 1_000}), Side(ran={40: 5_500, 41: 4_500})
    assert [verdicts(*sides)[1].word for sides in ((quick, slow), (slow, quick))] == ["no difference", "no difference"]


def test_both_percentiles_are_shown() -> None:
    text = verdicts(Side(ran={40: 600, 52: 400}), Side(ran={52: 600, 60: 400}))[1].text
    assert text.replace("\u202f", " ").startswith("p50 8 ms, 1 ms before; p95 35 ms, 8 ms before (Mann-Whitney test, p < 0.0001)"), text


@pytest.mark.parametrize(("p", "text"), [(0.00009, "p < 0.0001"), (0.0001, "p = 0.0001"), (0.0099, "p = 0.0099"), (0.01, "p = 0.01")])
def test_small_probabilities_have_more_digits(p: float, text: str) -> None:
    assert verdicts_module._p(p) == text


def test_a_probability_at_the_limit_is_no_difference() -> None:
    assert [verdicts_module._word(p, True, False) for p in (ALPHA, ALPHA * 0.99)] == ["no difference", "worse"]


def test_the_upper_percentile_is_not_the_largest() -> None:
    ran = {40: 500, 52: 460, 70: 40}
    assert "p95 8\u202fms, 8\u202fms before" in verdicts(Side(ran=ran), Side(ran=ran))[1].text
