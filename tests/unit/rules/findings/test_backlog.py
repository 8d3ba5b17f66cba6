# SPDX-License-Identifier: AGPL-3.0-or-later
"""When a queue is found to grow, not to drain, or to have nobody who takes from it."""

from __future__ import annotations

from tests.unit.rules.findings.examples import T, queue
from z4j.rules.findings.activity import QueueMinute
from z4j.rules.findings.backlog import find

MINUTE_US = 60_000_000
GROWS = QueueMinute(5_000, 120, 80, 0)


def test_a_queue_that_grows_is_found_with_its_numbers() -> None:
    found = find(queue(GROWS, depth=5_000, oldest_us=5 * MINUTE_US))
    assert found is not None
    assert (found.kind, found.level, found.title) == ("backlog", "warn", "Queue emails is growing")
    assert found.text.startswith("5,000 tasks waiting, the oldest for 5")
    assert "120 in and 80 out per minute; time to drain: never at this rate" in found.why
    assert "twice the workers (concurrency 16): " in found.why
    assert found.why.endswith("90% are emails.send")
    long = find(queue(GROWS, depth=5_000, oldest_us=20 * MINUTE_US))
    assert long is not None
    assert long.level == "bad"


def test_a_queue_that_hardly_drains_is_found() -> None:
    found = find(queue(QueueMinute(9_000, 100, 101, 0), depth=9_000, oldest_us=5 * MINUTE_US))
    assert found is not None
    assert found.title == "Queue emails drains slowly"


def test_a_queue_that_drains_is_left_alone() -> None:
    assert find(queue()) is None
    assert find(queue(QueueMinute(500, 100, 200, 0), depth=500, oldest_us=5 * MINUTE_US)) is None, "five minutes"
    assert find(queue(GROWS, depth=49, oldest_us=5 * MINUTE_US)) is None
    assert find(queue(GROWS, depth=5_000, oldest_us=MINUTE_US // 2)) is None, "nobody has waited long"
    assert find(queue(GROWS, depth=5_000, oldest_us=5 * MINUTE_US, is_paused=True)) is None, "a person has paused it"


def test_a_queue_that_begins_to_grow_is_found_before_half_an_hour() -> None:
    minutes = [QueueMinute(0, 100, 100, 0)] * 54 + [QueueMinute(200, 200, 100, 0)] * 6
    assert find(queue(*minutes, depth=600, oldest_us=2 * MINUTE_US)) is not None


def test_nobody_takes_from_it() -> None:
    found = find(queue(depth=30, consumers=0, running=0, oldest_us=40_000_000, queued=30))
    assert found is not None
    assert (found.kind, found.level, found.since) == ("unserved_queue", "bad", T - 40_000_000)
    assert found.text.startswith("30 tasks waiting, the oldest for 40")
    assert find(queue(depth=30, consumers=None, running=0)) is None, "not known"
    assert find(queue(depth=0, consumers=0, running=0, queued=0)) is None, "nothing to take"
    assert find(queue(depth=30, consumers=0, running=0, oldest_us=5_000_000)) is None, "a worker may be restarting"
    unknown = find(queue(depth=None, consumers=0, running=0, oldest_us=None, queued=7))
    assert unknown is not None
    assert unknown.text == "7 tasks waiting"
