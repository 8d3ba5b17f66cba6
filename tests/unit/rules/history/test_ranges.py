# SPDX-License-Identifier: AGPL-3.0-or-later
"""Ranges of histories: their slots, how fine they are, and rates of a slot that has only begun."""

from __future__ import annotations

import pytest

from z4j.rules.history.ranges import DEFAULT, FEW, HEAT, MOST_READ, SPANS, Span, added, choose, merged, window
from z4j.rules.rollups import DAY, DAY_US, HOUR, HOUR_US, KEPT_US, MINUTE, MINUTE_US, STEP_US

NOW = 1_795_000_123_456_789


@pytest.mark.parametrize("span", [*SPANS.values(), HEAT])
@pytest.mark.parametrize("series", [1, 10, 100, 5_000])
def test_a_range_ends_with_the_slot_of_now_and_reads_sums_that_are_kept(span: object, series: int) -> None:
    assert isinstance(span, type(HEAT))
    found = window(span, NOW, series)
    assert found.until - found.since == span.us
    assert found.slot_of(NOW) == found.slots[-1]
    assert found.slot_us % STEP_US[found.step] == 0
    kept = KEPT_US[found.step]
    assert kept is None or found.since >= NOW - kept
    assert 7 <= len(found.slots) <= 170


def test_more_series_make_coarser_slots_so_that_the_sums_have_a_bound() -> None:
    assert [window(SPANS["24h"], NOW, series).step for series in (1, 2, 3, 300)] == [MINUTE, HOUR, HOUR, HOUR]
    assert [window(SPANS["7d"], NOW, series).step for series in (1, 47, 48)] == [HOUR, HOUR, DAY]
    for span in SPANS.values():
        for series in range(1, 400, 7):
            found = window(span, NOW, series)
            assert found.lookups * series <= MOST_READ or found == window(span, NOW, 10**6)


def test_a_slot_that_has_only_begun_is_a_rate_by_the_time_that_has_passed() -> None:
    found = window(SPANS["90m"], 100 * HOUR_US + 30_000_000)
    assert found.per_minute(found.slots[0], 6) == 6
    assert found.per_minute(found.slots[-1], 6) == 12
    at_once = window(SPANS["90m"], 100 * HOUR_US)
    assert at_once.per_minute(at_once.slots[-1], 6) == 36  # not endless
    day = window(SPANS["90d"], 100 * DAY_US - 1)
    assert day.per_minute(day.slots[0], 1_440) == pytest.approx(1)


def test_unknown_ranges_are_the_default() -> None:
    assert [choose(key) for key in ("7d", "", None, "7D")] == ["7d", DEFAULT, DEFAULT, DEFAULT]


def test_buckets_are_merged_and_added() -> None:
    assert merged({40: 1, 41: 2, 42: 4}, 2) == {40: 3, 42: 4}
    assert added([{1: 1, 2: 2}, {2: 3}, {}]) == {1: 1, 2: 5}
    assert MINUTE_US == 60_000_000


def test_ranges_as_they_are_chosen() -> None:
    assert (MOST_READ, FEW, DEFAULT) == (8_000, 1_500, "90m")
    assert {key: (span.word, span.us) for key, span in SPANS.items()} == {
        "90m": ("90 min", 90 * MINUTE_US), "24h": ("24 h", DAY_US), "7d": ("7 d", 7 * DAY_US), "90d": ("90 d", 90 * DAY_US),
    }  # fmt: skip
    assert (HEAT.word, HEAT.us) == ("7 d", 7 * DAY_US)
    assert [window(SPANS[key], NOW).slot_us for key in SPANS] == [MINUTE_US, 20 * MINUTE_US, 2 * HOUR_US, DAY_US]


def test_exactly_as_many_sums_as_are_allowed_are_read() -> None:
    span = Span("x", 10 * HOUR_US, ((HOUR, HOUR_US, 30), (DAY, DAY_US, 30)))
    assert [window(span, NOW, series).step for series in (3, 4)] == [HOUR, DAY]
    assert window(span, NOW).lookups == 10
