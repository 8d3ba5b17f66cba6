# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which events of an id belong to which of its executions. The laws with a real database are in contract/."""

from __future__ import annotations

from tests.support.histories import S, T, ended, enqueued, started, told
from z4j.rules.fold import Event
from z4j.rules.lives import Told, split


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
