# SPDX-License-Identifier: AGPL-3.0-or-later
"""When a task name is found to fail more than usual, since when, and when that is over."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.rules.findings.examples import SHOP, T, hour, name
from z4j.rules.findings.activity import Counts
from z4j.rules.findings.failure_rate import find
from z4j.rules.rollups import MINUTE_US


def test_a_bad_release_is_found_with_its_numbers() -> None:
    found = find(name(Counts(10, 10, 4)))
    assert found is not None
    assert (found.kind, found.subject, found.level, found.scope) == ("failing_more", "emails.send", "bad", SHOP)
    assert found.text == "60 of 150 runs failed in 15 minutes (40%)"
    assert found.why == "usually 0.5%, in this hour of the last 4 weeks (12 hours with runs)"
    assert found.since == T - 14 * MINUTE_US
    assert found.action is not None
    assert found.action.text == "Review 60 and retry…"
    assert "name=emails.send" in found.action.href
    assert found.curve[-1] == 4
    assert found.curve[0] == 0


def test_as_usual_nothing_is_found() -> None:
    assert find(name()) is None
    assert find(name(Counts(10, 10, 4), usual=(hour(bad=230),) * 12)) is None, "it always fails so often"
    assert find(name(Counts(0, 0, 0))) is None
    assert find(name(Counts(0, 1, 1), minutes=4)) is None, "four failures are too few to tell"


def test_one_bad_hour_of_the_past_hides_nothing() -> None:
    past = (hour(bad=600), *(hour(),) * 11)
    assert find(name(Counts(10, 10, 4), usual=past)) is not None


def test_without_a_past_only_the_share_counts_and_that_is_said() -> None:
    found = find(name(Counts(10, 10, 4), usual=()))
    assert found is not None
    assert "not enough earlier hours" in found.why
    assert find(name(Counts(100, 100, 1), usual=())) is None


def test_it_is_over_when_the_newest_minutes_are_as_usual() -> None:
    assert find(name(Counts(10, 10, 4), Counts(10, 10, 0))) is None
    latest = name(Counts(10, 10, 4), Counts(10, 10, 0))
    one = replace(latest, minutes=(*latest.minutes[:-1], Counts(10, 10, 1)))
    assert find(one) is None, "one failure among the newest 40 runs is no tenth of what it was"
    few = name(Counts(100, 100, 7), Counts(100, 100, 4))
    assert find(few) is not None, "nearly as many still fail"
    assert find(name(Counts(10, 10, 4), Counts(0, 0, 0))) is not None, "nothing ran since, so nothing shows that it is over"


def test_two_minutes_are_enough_where_many_would_have_failed() -> None:
    def found(good: int, newest: Counts) -> bool:
        activity = name(Counts(good, good, good // 2))
        return find(replace(activity, minutes=(*activity.minutes[:-2], newest, newest))) is not None

    assert not found(40, Counts(40, 40, 0))
    assert found(40, Counts(40, 40, 20))
    assert found(6, Counts(6, 6, 0)), "six of twelve were to fail: too few"


def test_it_begins_within_a_minute() -> None:
    found = find(name(Counts(10, 10, 9), minutes=1))
    assert found is not None
    assert found.since == T


def test_where_nearly_everything_fails_five_failures_are_enough() -> None:
    """They are found in the last four minutes; among the 75 runs of a quarter of an hour they could be chance."""
    found = find(name(Counts(5, 5, 5), minutes=1, earlier=Counts(5, 5)))
    assert found is not None
    assert found.text == "5 of 20 runs failed in 4 minutes (25%)"
    assert find(name(Counts(5, 5, 4), minutes=1, earlier=Counts(5, 5))) is None
