# SPDX-License-Identifier: AGPL-3.0-or-later
"""The range of a drain forecast, compared with hours whose end is known."""

from __future__ import annotations

import random

import pytest

from z4j.rules.findings.forecast import BLOCK, FAR_MIN, HIGH, HORIZON_MIN, LOW, RUNS, WIDER, Forecast, drain, short_text, text_of

HOURS = 50
BEFORE = 30


def poisson(chance: random.Random, mean: float) -> int:
    return max(round(chance.gauss(mean, mean**0.5)), 0)


def hour(seed: int) -> tuple[int, list[int], list[int], float]:
    """A backlog, what entered and left in the half hour before, and after how many minutes it is gone: rates that are steady, bursts that
    last some minutes, and slow drifts."""
    chance = random.Random(seed)
    gone, share, burst, drift = chance.uniform(40, 900), chance.uniform(0.3, 0.9), chance.uniform(0, 0.6), chance.uniform(-0.002, 0.002)
    level = 1.0

    def minute(number: int) -> tuple[int, int]:
        nonlocal level
        if chance.random() < 0.3:
            level = max(1 + chance.gauss(0, burst), 0.05)
        return poisson(chance, gone * share * level * (1 + drift * number)), poisson(chance, gone * max(chance.gauss(1, 0.05), 0.3))

    minutes = [minute(number) for number in range(BEFORE)]
    backlog = round(gone * (1 - share) * chance.uniform(4, 45))
    waiting, passed = float(backlog), 0.0
    while waiting > 0 and passed < HORIZON_MIN:
        come, left = minute(BEFORE + int(passed))
        if left - come >= waiting:
            return backlog, [a for a, _ in minutes], [b for _, b in minutes], passed + waiting / (left - come)
        waiting += come - left
        passed += 1
    return backlog, [a for a, _ in minutes], [b for _, b in minutes], passed


def test_the_true_time_lies_in_the_range_in_seventy_to_ninety_percent_of_hours() -> None:
    inside = 0
    for seed in range(HOURS):
        backlog, entered, left, true = hour(seed)
        forecast = drain(backlog, entered, left)
        assert forecast is not None
        low = HORIZON_MIN if forecast.low is None else forecast.low
        high = float("inf") if forecast.high is None else forecast.high
        inside += low <= true <= high
    assert 0.70 * HOURS <= inside <= 0.90 * HOURS, inside


def test_a_queue_that_grows_never_drains() -> None:
    forecast = drain(1_000, [100] * 15, [80] * 15)
    assert forecast == Forecast(None, None)
    assert forecast.is_never
    assert text_of(forecast) == "never at this rate"
    assert drain(1_000, [0] * 15, [0] * 15) == Forecast(None, None)


def test_more_workers_shorten_it() -> None:
    entered, left = [100, 110, 90] * 5, [80, 85, 75] * 5
    assert drain(900, entered, left) == Forecast(None, None)
    twice = drain(900, entered, left, more=2.0)
    assert twice is not None
    assert twice.low is not None
    assert twice.high is not None
    assert 8 < twice.low <= 900 / 60 <= twice.high < 30


def test_nothing_waits_and_nothing_is_known() -> None:
    assert drain(0, [5] * 3, [5] * 3) == Forecast(0.0, 0.0)
    assert drain(10, [], []) is None
    assert drain(10, [0], [20]) == drain(10, [0], [20])


@pytest.mark.parametrize(
    ("forecast", "words"),
    [
        (Forecast(11.2, 14.4), "11–14 min"), (Forecast(0.2, 0.6), "under 1 min"), (Forecast(3.1, 3.2), "3 min"),
        (Forecast(100, 130), "100 min–2.2 h"), (Forecast(180, 200), "3.0–3.3 h"), (Forecast(200, None), "over 3.3 h"),
        (Forecast(0.0, 4.0), "0–4 min"),
    ],
)  # fmt: skip
def test_words(forecast: Forecast, words: str) -> None:
    assert text_of(forecast) == words


def test_limits_are_those_of_the_documents() -> None:
    assert (RUNS, BLOCK, WIDER, FAR_MIN, HORIZON_MIN, LOW, HIGH) == (200, 4, 1.8, 60, 1_440, 0.05, 0.95)


@pytest.mark.parametrize(
    ("backlog", "entered", "left", "more", "low", "high"),
    [
        (100, [0] * 8, [10] * 8, 1.0, 10.0, 10.0), (95, [0] * 8, [10] * 8, 1.0, 9.5, 9.5), (600, [0] * 8, [10] * 8, 1.0, 60.0, 60.0),
        (601, [0] * 8, [10] * 8, 1.0, 60.1, 60.1), (14_390, [0] * 8, [10] * 8, 1.0, 1_439.0, 1_439.0),
        (14_400, [0] * 8, [10] * 8, 1.0, None, None),
        (100, [5] * 8, [10] * 8, 1.0, 20.0, 20.0), (100, [5] * 8, [10] * 8, 2.0, 6.667, 6.667),
        (900, [100, 80, 120, 90, 110, 95], [130, 120, 150, 110, 150, 125], 1.0, 24.167, 35.417),
        (900, [0] * 8, [*[3] * 7, 60], 1.0, 35.261, None), (12_000, [0] * 12, [*[1] * 8, 90, 90, 1, 1], 1.0, 282.132, None),
        (30, [0, 1] * 4, [1] * 8, 1.0, 59.0, 60.0),
        (3_000, [100, 80, 120, 90, 110, 95], [130, 120, 150, 110, 150, 125], 1.0, 79.646, 116.883),
    ],
)  # fmt: skip
def test_ranges_of_known_minutes(
    backlog: int, entered: list[int], left: list[int], more: float, low: float | None, high: float | None
) -> None:  # fmt: skip
    found = drain(backlog, entered, left, more=more)
    assert found is not None
    assert tuple(each and round(each, 3) for each in found) == (low, high)


@pytest.mark.parametrize(
    ("forecast", "text", "short"),
    [
        (Forecast(None, None), "never at this rate", "never"), (Forecast(200, None), "over 3.3 h", "> 3.3 h"),
        (Forecast(0.2, 0.6), "under 1 min", "< 1 min"), (Forecast(0.2, 1.0), "1 min", "1 min"), (Forecast(0.2, 1.9), "1–2 min", "1–2 min"),
        (Forecast(1.0, 119.9), "1–120 min", "1–120 min"), (Forecast(119.9, 120.0), "120 min–2.0 h", "120 min–2.0 h"),
        (Forecast(0.0, 1.0), "0–1 min", "0–1 min"), (Forecast(1.0, 2.0), "1–2 min", "1–2 min"), (Forecast(9, 11), "9–11 min", "9–11 min"),
    ],
)  # fmt: skip
def test_words_for_a_sentence_and_for_a_column(forecast: Forecast, text: str, short: str) -> None:
    assert (text_of(forecast), short_text(forecast)) == (text, short)
