# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which events of an id belong to which of its executions. The laws with a real database are in contract/."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.support.histories import S, T, ended, enqueued, started, told
from z4j.rules.fold import Event
from z4j.rules.lives import Told, split

SENT = ("", "", "", "", "shop:1", "", -1, 0, "", "")
"""As an application sends a task; () is a message that the engine publishes again."""


def test_a_redelivery_stays_in_its_life() -> None:
    first = [started(1), ended("failed", 2, 1)]
    assert told(*first, started(9, meta={"redelivered": True}), ended("succeeded", 10, 9)) == ["succeeded"]
    assert told(*first, started(9), ended("succeeded", 10, 9)) == ["failed", "succeeded"]


def test_lost_ends_no_life_but_another_sending_begins_one() -> None:
    first = [enqueued(0), started(1), ended("lost", 2, None)]
    assert told(*first, started(9), ended("succeeded", 10, 9)) == ["succeeded"]
    assert told(*first, enqueued(8), started(9), ended("succeeded", 10, 9)) == ["lost", "succeeded"]
    assert told(*first, enqueued(8)) == ["lost", "queued"]


def test_a_retry_never_begins_a_life() -> None:
    first = [enqueued(0), started(1), ended("retried", 3, 1), enqueued(2, 1)]
    assert told(*first, started(9, 1), ended("failed", 10, 9, 1)) == ["failed"]
    assert told(enqueued(0), started(1), ended("failed", 3, 1), enqueued(4, 1), started(9, 1), ended("succeeded", 10, 9, 1)) == [
        "succeeded"
    ]


def test_what_counts_on_after_a_success_is_another_run() -> None:
    repeated = [enqueued(0), started(1), ended("succeeded", 3, 1), enqueued(4, 1), started(9, 1), ended("failed", 10, 9, 1)]
    assert told(*repeated) == ["succeeded", "failed"]


def test_a_replaced_task_is_one_life_and_its_last_run_speaks() -> None:
    replaced = [enqueued(0), started(1), enqueued(2), ended("retried", 3, 1), started(9)]
    assert told(*replaced, ended("failed", 10, 9)) == ["failed"]
    assert told(*replaced, ended("succeeded", 10, 9)) == ["succeeded"]


def test_sent_again_by_itself_waits_as_a_life_of_its_own() -> None:
    assert told(enqueued(0), started(1), enqueued(2), ended("succeeded", 3, 1)) == ["succeeded", "queued"]
    again = [enqueued(0), started(1), enqueued(2), ended("succeeded", 3, 1), started(9), ended("failed", 10, 9)]
    assert told(*again) == ["succeeded", "failed"]


def test_an_end_that_is_missing_keeps_no_later_sending_in_its_life() -> None:
    assert told(enqueued(0), started(1), enqueued(90), started(91), ended("succeeded", 95, 91)) == ["running", "succeeded"]
    assert told(enqueued(0), started(1), started(91), ended("succeeded", 95, 91)) == ["succeeded"], "delivered once more"
    both = [enqueued(0), started(1), enqueued(90), started(91), ended("succeeded", 95, 91), ended("failed", 99, 1)]
    assert told(*both) == ["failed", "succeeded"]


def test_a_cancelled_id_that_is_used_again() -> None:
    assert told(enqueued(0), ended("cancelled", 5, None), enqueued(8), started(9), ended("failed", 10, 9)) == ["cancelled", "failed"]


def test_two_hosts_within_the_skew_are_one_life_and_one_host_is_exact() -> None:
    first = [Event("started", 0, T, "a"), Event("succeeded", 0, T + S, "a", started_at=T)]
    for gap, other, lives in ((2 * S, "b", 1), (7 * S, "b", 2), (10, "a", 2)):
        again = [Event("started", 0, T + S + gap, "c"), Event("failed", 0, T + S + gap + 9, "c", started_at=T + S + gap)]
        assert len(split([Told(of, "a") for of in first] + [Told(of, other) for of in again])) == lives


# -- laws ----------------------------------------------------------------------------------------------------------------
def execution(chance: random.Random, at: int, number: int) -> list[Told]:
    """All that is reported of one execution that begins at `at`, by a producer and a worker whose clocks may be two seconds apart."""
    sender, worker = "p", chance.choice("pab")
    lag = 0 if worker == sender else chance.randrange(-2 * S, 2 * S)
    found: list[Told] = []

    def say(clock: str, kind: str, attempt: int, moment: int, **facts: Any) -> None:
        run = facts.pop("run", "")
        found.append(Told(Event(kind, attempt, moment + (lag if clock == worker else 0), run, **facts), clock))

    is_watched, is_delayed = chance.random() < 0.6, chance.random() < 0.3
    lag = max(lag, 0) if is_delayed else lag  # a worker whose clock is behind waits longer
    if is_watched:
        eta = at + 4 * S if is_delayed else -1
        say(sender, "enqueued", 0, at, run="p.1", eta=eta, sent=SENT)
        say(sender, "payload", 0, at + 5, run="p.1", rank=2, args=f"[{number}]")
        if is_delayed:
            say("", "due", 0, eta)
            at = eta
    last = chance.choice([0, 0, 1, 2])
    for attempt in range(last + 1):
        got, began, end = at + 900, at + 1_000, at + 500_000
        say(worker, "received", attempt, got, run=f"{worker}.1")
        if not is_watched and not attempt:
            say(worker, "payload", 0, got + 5, run=f"{worker}.1", rank=1, args=f"[{number}]")
        say(worker, "started", attempt, began, run=f"{worker}.7")
        if chance.random() < 0.2:
            say(worker, "cancel_asked", attempt, began + 100_000)
        if chance.random() < 0.2:
            say("", "alive", attempt, began + 200_000, run=f"{worker}.7", started_at=began + lag)
        if chance.random() < 0.2:  # the process is gone, and the broker hands it out again
            say(worker, "lost", attempt, end, run=f"{worker}.7", started_at=began + lag)
            at += 2 * S
            got, began, end = at + 900, at + 1_000, at + 500_000
            say(worker, "received", attempt, got, run=f"{worker}.1", flags=1)
            say(worker, "started", attempt, began, run=f"{worker}.8", flags=1)
        is_last = attempt == last
        kind = chance.choice(["succeeded", "failed"]) if is_last else "retried"
        receipt = {"received_at": got + lag} if is_last else {}
        say(worker, kind, attempt, end, run=f"{worker}.7", started_at=began + lag, result=f"{number}", **receipt)
        if not is_last:
            say(worker, "enqueued", attempt + 1, end + 10, run=f"{worker}.7")
        at += 600_000
    return found


def histories(chance: random.Random) -> list[list[Told]]:
    at, made = T, []
    for number in range(chance.choice([1, 2, 3, 4])):
        made.append(execution(chance, at, number))
        at = max(of.event.at for of in made[-1]) + chance.randrange(12 * S, 500 * S)
    return made


@pytest.mark.parametrize("seed", range(60))
def test_every_execution_has_exactly_what_was_reported_of_it(seed: int) -> None:
    made = histories(random.Random(seed))
    everything = [of for life in made for of in life]
    random.Random(seed).shuffle(everything)
    found = split(everything + everything[:3])
    assert [set(life.told) for life in found] == [set(life) for life in made]
    assert all(len(life.told) == len(set(life.told)) for life in found)
