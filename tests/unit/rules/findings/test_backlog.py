# SPDX-License-Identifier: AGPL-3.0-or-later
"""When a queue is found to grow, not to drain, or to have nobody who takes from it."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.rules.findings.examples import T, queue
from z4j.rules.findings.activity import QueueMinute
from z4j.rules.findings.backlog import FORECAST_MIN, GROWTH_MIN, LEAST_AGE_US, LEAST_WAITING, LONG_MIN, UNSERVED_US, find, forecast_of
from z4j.rules.findings.finding import Finding
from z4j.rules.findings.forecast import drain

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


def test_limits_are_those_of_the_documents() -> None:
    assert (LEAST_WAITING, LEAST_AGE_US, FORECAST_MIN, GROWTH_MIN, LONG_MIN, UNSERVED_US) == (50, 60_000_000, 30, 5, 30.0, 30_000_000)


def test_exactly_as_many_and_as_old_as_is_needed() -> None:
    assert find(queue(GROWS, depth=50, oldest_us=MINUTE_US))
    assert not find(queue(GROWS, depth=50, oldest_us=MINUTE_US - 1))
    assert find(queue(GROWS, depth=50, oldest_us=None)), "the age is not known"
    served = queue(depth=30, consumers=0, running=0, oldest_us=30_000_000, queued=30)
    assert find(served)
    assert not find(replace(served, running=1))
    assert not find(replace(served, consumers=1))


def test_growth_and_level() -> None:
    def look(entered: int, left: int, minutes: int, **changes: int | None) -> tuple[str, str, float]:
        found = find(queue(QueueMinute(9_000, entered, left, 0), **{"depth": 9_000, "oldest_us": minutes * MINUTE_US} | changes))
        assert found is not None
        return found.title, found.level, found.weight

    assert look(105, 100, 5) == ("Queue emails drains slowly", "warn", 240), "five of a hundred are no growth"
    assert look(106, 100, 5) == ("Queue emails is growing", "warn", 390)
    assert look(106, 100, 10) == ("Queue emails is growing", "warn", 390)
    assert look(106, 100, 11) == ("Queue emails is growing", "bad", 390)
    assert look(100, 100, 99) == ("Queue emails drains slowly", "warn", 240)
    assert look(106, 100, 11, oldest_us=None)[1] == "warn"
    assert look(106, 100, 11, depth=99_999_999)[2] == 550


def test_unserved_weight_and_names() -> None:
    def look(depth: int, names: dict[str, int]) -> Finding:
        found = find(queue(depth=depth, consumers=0, running=0, oldest_us=MINUTE_US, queued=30, names=names))
        assert found is not None
        return found

    assert [look(depth, {}).weight for depth in (9, 10_000, 100_000)] == [640, 800, 800]
    assert look(9, {}).why == "the broker reports no consumers"
    assert look(9, {"a": 0}).why == "the broker reports no consumers"
    assert look(9, {"a": 3}).why == "the broker reports no consumers. All are a"
    assert look(9, {"a": 3, "b": 3}).why == "the broker reports no consumers. 50% are b"


def test_the_forecast_with_more_workers_is_left_out_where_it_says_nothing() -> None:
    def why(**changes: int) -> str:
        found = find(queue(QueueMinute(5_000, 120, 80, 0), depth=5_000, oldest_us=5 * MINUTE_US, **changes))
        assert found is not None
        return found.why

    assert "with twice the workers (concurrency 16)" in why()
    assert "twice" not in why(concurrency=0)
    far = find(queue(QueueMinute(5_000, 300, 80, 0), depth=5_000, oldest_us=5 * MINUTE_US))
    assert far is not None
    assert "twice" not in far.why, "twice as many would not be enough"


def why(*minutes: QueueMinute, **changes: int) -> str:
    found = find(queue(*minutes, **{"depth": 5_000, "oldest_us": 5 * MINUTE_US} | changes))
    return "" if found is None else found.why.removesuffix(". 90% are emails.send")


def test_growth_is_that_of_the_last_five_whole_minutes() -> None:
    minutes = [QueueMinute(0, 100, 90, 0)] * 54 + [QueueMinute(0, 120, 80, 0)] * 4 + [QueueMinute(0, 140, 80, 0), QueueMinute(0, 0, 0, 0)]
    assert why(*minutes).startswith("124 in and 80 out per minute; ")
    assert why(QueueMinute(0, 120, 80, 0)) == (
        "120 in and 80 out per minute; time to drain: never at this rate; with twice the workers (concurrency 16): 2.1 h"
    )
    assert why(QueueMinute(0, 120, 80, 0), concurrency=0) == "120 in and 80 out per minute; time to drain: never at this rate"
    assert why(QueueMinute(0, 300, 80, 0)) == "300 in and 80 out per minute; time to drain: never at this rate"
    assert find(replace(queue(depth=5_000, oldest_us=5 * MINUTE_US), minutes=())) is None, "nothing is known"


def test_the_forecast_is_from_the_last_thirty_whole_minutes() -> None:
    minutes = [QueueMinute(0, 0, 0, 0)] * 29 + [QueueMinute(0, 0, 10, 0)] * 29 + [QueueMinute(0, 0, 40, 0), QueueMinute(0, 0, 0, 0)]
    assert forecast_of(queue(*minutes, depth=100)) == drain(100, [0] * 30, [10] * 29 + [40])


def test_what_drains_within_half_an_hour_is_left_alone_unless_it_grows() -> None:
    slow = QueueMinute(0, 100, 110, 0)
    assert [bool(why(slow, depth=depth)) for depth in (299, 300, 500)] == [False, True, True], "30 minutes to the task"
    turning = [QueueMinute(0, 0, 200, 0)] * 54 + [QueueMinute(0, 120, 100, 0)] * 6
    assert why(*turning, depth=600).startswith("120 in and 100 out per minute; time to drain: ")
    assert find(queue(depth=0, consumers=0, running=0, queued=0, oldest_us=None)) is None
