# SPDX-License-Identifier: AGPL-3.0-or-later
"""Texts of values, axes and times."""

from __future__ import annotations

import pytest

from z4j.formats import DAY, THIN
from z4j.rules.charts.model import BYTES, DURATION, MINUTE
from z4j.web.frame.charts.texts import axis_text, slot_times, slug, value_text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "", "0"), (0.5, "", "0.5"), (8_000, "", "8,000"), (20_000, "", "20k"), (1_500_000, "", "1.5M"), (20_000_000, "", "20M"),
        (30_000_000, DURATION, f"30{THIN}s"), (300_000_000, DURATION, f"5{THIN}m"), (7_200_000_000, DURATION, f"2{THIN}h"),
        (172_800_000_000, DURATION, f"2{THIN}d"), (2_000, DURATION, f"2{THIN}ms"), (2_000_000, DURATION, f"2{THIN}s"),
        (600_000_000, DURATION, f"10{THIN}m"), (36_000_000_000, DURATION, f"10{THIN}h"),
        (2_000_000, BYTES, f"2{THIN}MB"), (50, "%", f"50{THIN}%"),
    ],
)  # fmt: skip
def test_axis_texts_are_short(value: float, unit: str, text: str) -> None:
    assert axis_text(value, unit) == text


def test_texts_of_values_have_their_unit() -> None:
    assert value_text(None, "tasks") == "–"
    assert value_text(12_418, "tasks") == "12,418 tasks"
    assert value_text(4_800_000, DURATION) == f"4.8{THIN}s"
    assert value_text(5, BYTES) == f"5{THIN}B"


def test_times_have_a_day_where_the_chart_is_long_and_no_clock_where_a_slot_is_a_day() -> None:
    noon = 20_000 * DAY + DAY // 2
    assert slot_times([noon], noon, noon + MINUTE, MINUTE, "UTC") == ["12:00"]
    assert slot_times([noon], noon, noon + DAY, MINUTE, "Asia/Tokyo") == ["4 Oct 21:00"]
    midnight = noon - DAY // 2
    assert slot_times([midnight], midnight, midnight + DAY, DAY, "UTC") == ["4 Oct"]
    assert slot_times([midnight], midnight, midnight + DAY, DAY, "Asia/Tokyo") == ["4 Oct 09:00"]


def test_durations_of_neighboring_buckets_differ() -> None:
    edges = [value_text(1.0 * 2 ** (i / 2), DURATION) for i in range(56)]
    assert len(set(edges)) == len(edges)
    assert edges[0] == f"0.001{THIN}ms"
    assert value_text(1_448, DURATION) == f"1.4{THIN}ms"
    assert value_text(131_000, DURATION) == f"130{THIN}ms"
    assert value_text(994_999, DURATION) == f"990{THIN}ms"
    assert value_text(996_000, DURATION) == f"1{THIN}s"
    assert value_text(9_949_999, DURATION) == f"9.9{THIN}s"
    assert value_text(62_000_000, DURATION) == f"1{THIN}m{THIN}02{THIN}s"
    assert value_text(0, DURATION) == f"0{THIN}ms"


def test_an_id_has_no_spaces() -> None:
    assert slug("Finished & failed / minute") == "chart-finished-failed-minute"
