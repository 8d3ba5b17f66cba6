# SPDX-License-Identifier: AGPL-3.0-or-later
"""The clock of the server, and one that a test moves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from z4j import clock


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    clock.use()


def test_both_clocks_are_replaced_and_restored() -> None:
    clock.use(lambda: 5_000, lambda: 7_000)
    assert (clock.now(), clock.ticks()) == (5, 7)
    clock.use()
    assert clock.now() > 1_700_000_000_000_000


@pytest.mark.parametrize(("pace", "seconds", "waited"), [(1, 0.01, 0.01), (1, 3_600, 3_600), (1_800, 3_600, 2), (1_800, 1, 0.25)])
def test_pauses_are_as_much_shorter_as_the_clock_is_faster(pace: float, seconds: float, waited: float) -> None:
    """But duties of a second do not take the whole processor."""
    clock.use(pace=pace)
    assert clock.pause_s(seconds) == waited
    clock.use()
    assert clock.pause_s(seconds) == seconds
