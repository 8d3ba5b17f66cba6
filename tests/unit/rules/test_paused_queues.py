# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which pause concerns which queue, and which of several counts."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from z4j.rules.paused_queues import is_paused, newest


class Pause(NamedTuple):
    ended_at: int | None = None
    queue: str = "work"
    engine: str = "rq"


@pytest.mark.parametrize(
    ("held", "broker", "expected"), [("a", "a", True), ("a", "b", False), ("", "b", True), ("a", "", True), ("", "", True)]
)
def test_a_pause_is_of_the_queue_of_its_broker_and_one_of_no_broker_of_all(held: str, broker: str, expected: bool) -> None:
    assert is_paused(held, broker) is expected


@pytest.mark.parametrize(
    ("told", "counts"),
    [
        ([None], None),
        ([5], 5),
        ([5, 7], 7),
        ([7, 5], 7),
        ([5, None], None),
        ([None, 9], None),
        ([9, None, 12], None),
    ],
)
def test_one_in_force_counts_else_the_last_that_has_ended(told: list[int | None], counts: int | None) -> None:
    assert newest(("a", Pause(ended_at)) for ended_at in told) == {("rq", "work", "a"): Pause(counts)}


def test_of_two_that_ended_at_once_the_later_told_counts() -> None:
    first, second = Pause(5), Pause(5)
    assert newest([("a", first), ("a", second)])["rq", "work", "a"] is second


def test_each_engine_queue_and_broker_has_its_own() -> None:
    told = [("a", Pause()), ("b", Pause(3)), ("a", Pause(4, queue="mail")), ("a", Pause(6, engine="huey"))]
    assert newest(told) == {
        ("rq", "work", "a"): Pause(), ("rq", "work", "b"): Pause(3), ("rq", "mail", "a"): Pause(4, queue="mail"),
        ("huey", "work", "a"): Pause(6, engine="huey"),
    }  # fmt: skip
