# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import pytest

from z4j.rules.queries.fields import FIELDS, count_of, is_time, span_us


@pytest.mark.parametrize(
    ("text", "us"),
    [("5s", 5_000_000), ("200ms", 200_000), ("1.5h", 5_400_000_000), ("7us", 7), ("2m", 120_000_000), ("1d", 86_400_000_000)],
)
def test_durations(text: str, us: int) -> None:
    assert span_us(text) == us


@pytest.mark.parametrize("text", ["5", "s", "-5s", "5 s", "5S", "1e3s", "9999999999s", "٣s", ""])
def test_no_durations(text: str) -> None:
    assert span_us(text) is None


def test_counts() -> None:
    assert [count_of(text) for text in ("0", "2", "9999", "10000", "-1", "2.5", "", "٣")] == [0, 2, 9999, None, None, None, None, None]


def test_times() -> None:
    assert all(map(is_time, ("15m", "24h", "7d", "2w", "2026-11-23", "2026-11-23T05:15Z", "2026-11-23 05:15:01.5+01:00")))
    assert not any(map(is_time, ("yesterday", "15", "m", "2026-11", "2026-11-23x")))


def test_every_field_says_what_it_is() -> None:
    assert all(field.hint and field.name == name for name, field in FIELDS.items())
