# SPDX-License-Identifier: AGPL-3.0-or-later
"""A run is delayed by less than its jitter, always by the same, and by another delay for another schedule or due time."""

from __future__ import annotations

from z4j.rules.schedules.jitter import wake_of

NOON = 1_795_000_000_000_000
MINUTE = 60_000_000


def test_without_jitter_or_due_time_nothing_is_delayed() -> None:
    assert wake_of(7, NOON, 0) == NOON
    assert wake_of(7, None, MINUTE) is None


def test_a_delay_is_repeatable_and_below_the_jitter() -> None:
    delays = [wake_of(id, NOON, MINUTE) for id in range(1_000)]
    assert delays == [wake_of(id, NOON, MINUTE) for id in range(1_000)]
    known = [at for at in delays if at is not None]
    assert len(known) == 1_000
    assert NOON <= min(known) < NOON + MINUTE // 50
    assert NOON + MINUTE - MINUTE // 50 < max(known) < NOON + MINUTE
    assert len(set(known)) > 990
    assert wake_of(1, NOON, 1) == NOON, "less than a microsecond"


def test_due_times_of_one_schedule_have_different_delays() -> None:
    delays = {(wake_of(7, NOON + minute * MINUTE, MINUTE) or 0) - minute * MINUTE for minute in range(100)}
    assert len(delays) > 95


def test_known_delays() -> None:
    """They are the same in every release: a server that was updated runs what is due at the time that pages have shown."""
    assert [(wake_of(id, NOON, 10 * MINUTE) or 0) - NOON for id in (1, 2, 3)] == [372_705_344, 597_325_752, 430_223_220]
