# SPDX-License-Identifier: AGPL-3.0-or-later
"""A message is tried again later and later, for three days."""

from __future__ import annotations

from tests.unit.rules.alerts.examples import HOUR, MINUTE, SECOND, T
from z4j.rules.alerts.delivery_retries import KEPT_US, next_try


def test_it_waits_twice_as_long_up_to_half_an_hour() -> None:
    waits = [(next_try(T, T, attempts, T) or 0) - T for attempts in (1, 2, 3, 9, 10, 1_000)]
    assert waits == [5 * SECOND, 10 * SECOND, 20 * SECOND, 1_280 * SECOND, 30 * MINUTE, 30 * MINUTE]


def test_it_is_given_up_three_days_after_it_was_due() -> None:
    assert KEPT_US == 72 * HOUR
    assert next_try(T, T, 50, T + KEPT_US - 1) is not None
    assert next_try(T, T, 50, T + KEPT_US) is None
    assert next_try(T, T + 8 * HOUR, 50, T + KEPT_US) is not None, "quiet hours do not count"
