# SPDX-License-Identifier: AGPL-3.0-or-later
"""The ledger of a queue: what is unaccounted for, and in which hours."""

from __future__ import annotations

from tests.unit.rules.findings.examples import T, queue
from z4j.rules.findings.activity import QueueMinute
from z4j.rules.history.queue_ledger import FRESH_US, LEAST_REPORTS, SETTLED_MIN, LedgerHour, balance, queued_before, unaccounted_tasks
from z4j.rules.rollups import HOUR_US

HELD, EMPTY, UNKNOWN = QueueMinute(40, 0, 0, 0), QueueMinute(0, 0, 0, 0), QueueMinute(None)


def test_what_is_unaccounted_for_is_a_lower_bound() -> None:
    assert unaccounted_tasks(queue(HELD, depth=40, queued=52)) == 12
    assert unaccounted_tasks(queue(HELD, depth=40, queued=40)) == 0
    assert unaccounted_tasks(queue(HELD, depth=40, queued=30)) == 0, "never negative"
    assert unaccounted_tasks(queue(HELD, QueueMinute(40, 5, 0, 0), depth=40, queued=52)) == 7, "what came meanwhile may be on its way"
    assert unaccounted_tasks(queue(HELD, QueueMinute(50, 0, 0, 0), HELD, depth=40, queued=52)) == 2, "the most that it had counts"
    assert unaccounted_tasks(queue(HELD, depth=40, queued=52, delayed=3)) == 9
    assert unaccounted_tasks(queue(HELD, depth=40, queued=52, ahead=8)) == 4
    assert unaccounted_tasks(queue(HELD, depth=40, queued=52, ahead=8, running=0)) == 12, "nothing runs, so nothing waits behind it"


def test_it_is_not_known_where_the_broker_does_not_report() -> None:
    for changes in ({"depth": None}, {"reported_us": None}, {"reported_us": 91_000_000}):
        assert unaccounted_tasks(queue(EMPTY, **({"depth": 0, "queued": 9} | changes))) is None
    assert unaccounted_tasks(queue(UNKNOWN, *(EMPTY,) * 7, depth=0, queued=9)) is None
    assert unaccounted_tasks(queue(UNKNOWN, *(EMPTY,) * 8, depth=0, queued=9)) == 9


def hour(number: int, queued: int, **counts: int) -> LedgerHour:
    fields = {"waiting": 1, "running": 2, "ended": 3} | counts
    return LedgerHour(T + number * HOUR_US, queued + sum(fields.values()), queued, **fields)


def test_hours_balance_the_oldest_tasks_are_the_missing_ones() -> None:
    hours = [hour(0, 4), hour(1, 10), hour(2, 10)]
    found = balance(hours, 6)
    assert [each.unaccounted for each in found] == [4, 2, 0]
    for each in found:
        assert each.hour.sent == each.hour.ended + each.hour.running + each.waiting + (each.unaccounted or 0)
    assert [each.unaccounted for each in balance(hours, 6, earlier=5)] == [1, 0, 0]
    assert [each.unaccounted for each in balance(hours, 6, earlier=50)] == [0, 0, 0]
    assert [each.unaccounted for each in balance(hours, None)] == [None] * 3
    assert balance(hours, None)[0].waiting == 5
    assert balance([hour(0, 0)], None)[0].unaccounted == 0, "nothing is queued that could be missing"
    assert (queued_before(hours, 30), queued_before(hours, 20)) == (6, 0)


def test_limits_and_defaults() -> None:
    assert (FRESH_US, SETTLED_MIN, LEAST_REPORTS) == (90_000_000, 15, 8)
    assert LedgerHour(T) == (T, 0, 0, 0, 0, 0, 0)
    assert unaccounted_tasks(queue(HELD, depth=40, queued=52, reported_us=90_000_000)) == 12, "just fresh enough"
    assert unaccounted_tasks(queue(HELD, depth=40, queued=52, delayed=None)) == 12


def test_only_the_last_minutes_count() -> None:
    early = [QueueMinute(90, 7, 0, 0), *(HELD,) * 15]
    assert unaccounted_tasks(queue(*early, depth=40, queued=52)) == 12, "neither what came before nor the depth of then"
