# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

from collections.abc import Iterator

import pytest

from z4j import clock, rate_limit
from z4j.rate_limit import Attempts, bearer, spread


@pytest.fixture
def at() -> Iterator[list[int]]:
    now = [1_795_000_000_000_000]
    clock.use(lambda: now[0] * 1000)
    yield now
    clock.use()


def test_a_limit_in_a_sliding_minute(at: list[int]) -> None:
    tried = Attempts(limit=3)
    for _ in range(3):
        assert not tried.is_over("a")
        tried.was_wrong("a")
        at[0] += 10_000_000
    assert tried.is_over("a")
    assert not tried.is_over("b")
    at[0] += 30_000_001  # the first of the three is older than a minute now
    assert not tried.is_over("a")
    tried.was_wrong("a")
    assert tried.is_over("a")
    tried.was_right("a")
    assert not tried.is_over("a")
    tried.was_right("never wrong")


def test_a_clock_that_was_set_back_locks_nobody_out(at: list[int]) -> None:
    tried = Attempts(limit=1)
    tried.was_wrong("a")
    assert tried.is_over("a")
    at[0] -= 7_200_000_000
    assert not tried.is_over("a")
    tried.was_wrong("a")
    assert tried.is_over("a")


def test_the_oldest_addresses_are_forgotten_first(at: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "ADDRESSES", 2)
    tried = Attempts(limit=1)
    for address in ("a", "b", "a", "c"):
        tried.was_wrong(address)
    assert [tried.is_over(address) for address in "abc"] == [True, False, True]


@pytest.mark.parametrize(
    ("header", "token"),
    [("Bearer abc", "abc"), ("bearer  abc.seal ", "abc"), ("Basic abc", ""), ("Bearer", ""), ("", ""), (None, "")],
)
def test_the_token_of_a_header(header: str | None, token: str) -> None:
    assert bearer(header) == token


def test_those_that_were_refused_together_come_back_at_different_times() -> None:
    waits = [spread(2.0) for _ in range(200)]
    assert min(waits) >= 2.0
    assert max(waits) <= 4.0
    assert len({round(wait, 2) for wait in waits}) > 50
    assert spread(0.0) == 0.0
