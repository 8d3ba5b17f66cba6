# SPDX-License-Identifier: AGPL-3.0-or-later
"""Counts of the last minutes."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

from tests.unit.rules.findings.examples import hour, name, queue
from z4j.rules.findings.activity import BAD, LATEST_MIN, RECENT_MIN, Counts, QueueActivity, QueueMinute, taken_ahead, together


def test_counts_add_up() -> None:
    assert name(Counts(2, 1, 1, 0), minutes=2, earlier=Counts()).last(60) == Counts(4, 2, 2, 0)
    assert Counts(5, 4, 1).bad_share == 0.25
    assert Counts().bad_share == 0


def test_an_hour_with_few_runs_has_no_percentile() -> None:
    assert hour(started=5).percentile(0.5, 10) is None
    assert hour(started=100, ms=100).percentile(0.5, 10) is not None


def test_the_backlog_is_what_the_broker_reports_where_it_does() -> None:
    assert queue(depth=7, queued=20).backlog == 7
    assert queue(depth=None, queued=20).backlog == 20


def test_what_workers_take_ahead() -> None:
    assert [taken_ahead(engine, 8, {}) for engine in ("celery", "rq", "dramatiq", "taskiq")] == [0, 0, 16, 8]
    assert taken_ahead("dramatiq", 8, {"prefetch": "2 per thread"}) == 16
    assert taken_ahead("dramatiq", 8, {"prefetch": "100"}) == 100
    assert taken_ahead("dramatiq", 8, {"prefetch": "٣"}) == 16, "a digit, but not of ASCII"
    assert taken_ahead("taskiq", 8, {"prefetch": "0"}) == 0
    assert taken_ahead("celery", 8, {"prefetch": "100"}) == 0, "Celery reports every prefetched task"


def test_a_queue_of_two_brokers_is_known_where_both_report() -> None:
    one, other = (
        queue(QueueMinute(40, 0, 0, 0), depth=40, oldest_us=5),
        queue(QueueMinute(40, 0, 0, 0), depth=2, oldest_us=9, consumers=None, is_paused=True, reported_us=7),
    )
    both = together(one, other)
    assert (both.depth, both.oldest_us, both.consumers, both.is_paused, both.reported_us) == (42, 9, None, False, 3_000_000)
    assert together(one, queue(QueueMinute(40, 0, 0, 0), depth=None, reported_us=None)).depth is None
    assert together(one, queue(QueueMinute(40, 0, 0, 0), reported_us=None)).reported_us is None
    silent, paused = replace(one, reported_us=None, oldest_us=None, dead=None), replace(one, is_paused=True)
    for pair in ((silent, one), (one, silent)):
        assert (together(*pair).reported_us, together(*pair).oldest_us, together(*pair).dead) == (None, 5, None)
    assert together(silent, silent).oldest_us is None
    assert [together(*pair).is_paused for pair in ((paused, one), (one, paused), (paused, paused))] == [False, False, True]


def test_what_counts_as_the_present_and_as_bad() -> None:
    assert (RECENT_MIN, LATEST_MIN, BAD) == (15, 4, ("failed", "lost", "rejected", "expired"))
    assert Counts() == (0, 0, 0, 0)
    assert QueueMinute() == (None, 0, 0, None)
    assert name(Counts(5, 5, 5, 5), minutes=2, earlier=Counts(1, 1, 1, 1)).last(2) == Counts(10, 10, 10, 10), "only those"
    assert hour(started=10).percentile(0.5, 10) is not None, "exactly as many as are needed"


def test_what_busy_workers_may_hold() -> None:
    busy, idle = queue(ahead=8, running=1), queue(ahead=8, running=0)
    assert (busy.may_hold, idle.may_hold) == (8, 0)
    fields = {each.name: getattr(busy, each.name) for each in dataclasses.fields(busy) if each.name not in ("ahead", "names")}
    assert QueueActivity(**fields).ahead == 0
