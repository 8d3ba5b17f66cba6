# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import pytest

from z4j import formats

SECOND = 1_000_000
NOW = 1_795_410_901_204_512  # 2026-11-23T05:15:01.204512Z


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0"),
        (999, "999"),
        (12_418, "12,418"),
        (1_000_000, "1,000,000"),
        (0.4, "0.4"),
        (9.96, "10.0"),
        (12.6, "13"),
        (3.0, "3"),
    ],
)
def test_number(value: float | None, text: str) -> None:
    assert formats.number(value) == text


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (None, "–"),
        (-5, "0 ms"),
        (0, "0 ms"),
        (400, "0.4 ms"),
        (1_000, "1 ms"),
        (12_900, "12 ms"),
        (99_999, "99 ms"),
        (184_000, "0.2 s"),
        (4_800_000, "4.8 s"),
        (9_949_999, "9.9 s"),
        (9_950_000, "9 s"),
        (59_999_999, "59 s"),
        (62 * SECOND, "1 m 02 s"),
        (3_599 * SECOND, "59 m 59 s"),
        (3 * 3600 * SECOND + 300 * SECOND, "3 h 05 m"),
        (52 * 3600 * SECOND, "2 d 4 h"),
    ],
)
def test_duration(us: int | None, text: str) -> None:
    assert formats.duration(us).replace(formats.THIN, " ") == text


@pytest.mark.parametrize(
    ("away", "text"),
    [
        (0, "now"),
        (999_999, "now"),
        (12 * SECOND, "12 s ago"),
        (-240 * SECOND, "in 4 m"),
        (3 * 3600 * SECOND, "3 h ago"),
        (90_000 * SECOND, "22 Nov 04:15"),
        (400 * 86_400 * SECOND, "19 Oct 2025"),
    ],
)
def test_relative(away: int, text: str) -> None:
    assert formats.relative(NOW - away, NOW).replace(formats.THIN, " ") == text


def test_absolute_carries_its_zone() -> None:
    assert formats.absolute(NOW) == "2026-11-23 05:15:01.204 UTC"
    assert formats.absolute(None) == "–"
    assert formats.iso(NOW) == "2026-11-23T05:15:01.204512Z"


@pytest.mark.parametrize("at", [-1, 0, 1 << 62])
def test_no_time_is_too_far_away_to_show(at: int) -> None:
    assert formats.absolute(at).endswith("UTC")


def test_middle_keeps_both_ends() -> None:
    name = "warehouse.replenishment.suppliers.request_quotation"
    short = formats.middle(name, 24)
    assert len(short) == 24
    assert short.startswith("warehouse.")
    assert short.endswith("_quotation")
    assert formats.middle("short", 24) == "short"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (812, "812 B"), (14_300, "14 KB"), (3_210_000, "3.2 MB"), (83_270_200_000, "83.3 GB")]
)
def test_size(count: int, text: str) -> None:
    assert formats.size(count).replace(formats.THIN, " ") == text


def test_plural() -> None:
    assert formats.plural(1, "task") == "1 task"
    assert formats.plural(12_418, "task") == "12,418 tasks"
