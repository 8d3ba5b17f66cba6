# SPDX-License-Identifier: AGPL-3.0-or-later
"""Bars of failures per hour: in proportion, never invisible, never beyond the picture."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from z4j.store.errors.error_groups import Hour
from z4j.web.pages.errors.curve import HEIGHT, STEP, curve

T = 1_795_000_000_000_000
counts = st.integers(0, 10**9)
hours = st.lists(st.builds(lambda failed, retried, cured: Hour(T, failed, retried, cured), counts, counts, counts), max_size=30)


def test_failed_tasks_stand_below_failed_attempts() -> None:
    made = curve([Hour(T, 0, 0, 0), Hour(T + 1, 10, 4, 6), Hour(T + 2, 1, 0, 0)])
    empty, tall, small = made.bars
    assert (empty.height, empty.cured_height) == (0, 0)
    assert (tall.x, tall.y, tall.height, tall.cured_y, tall.cured_height) == (STEP, 10, 10, 0, 10)
    assert (small.y, small.height) == (19, 1)
    assert (tall.failed, tall.attempts, made.most, made.width) == (10, 10, 20, 3 * STEP)
    assert tall.title.endswith("h: 10 failed tasks, 10 failed attempts")
    assert made.label == "11 failed in 3 hours, at most 20 failures in one"


def test_nothing_has_no_bars() -> None:
    assert curve([]).bars == ()
    assert curve([Hour(T, 0, 0, 0)]).most == 0


@given(hours)
def test_bars_stay_in_the_picture(some: list[Hour]) -> None:
    for hour, bar in zip(some, curve(some).bars, strict=True):
        assert bar.cured_y >= 0
        assert bar.y + bar.height == HEIGHT
        assert bar.cured_y + bar.cured_height == bar.y
        assert (bar.height > 0) == (hour.failed > 0)
