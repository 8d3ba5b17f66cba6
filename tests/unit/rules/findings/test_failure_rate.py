# SPDX-License-Identifier: AGPL-3.0-or-later
"""When a task name is found to fail more than usual, since when, and when that is over."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.rules.findings.examples import SHOP, T, hour, name
from z4j.rules.findings.activity import Counts, Hour
from z4j.rules.findings.failure_rate import CERTAIN, EXPECTED, FACTOR, LEAST_BAD, LEAST_SHARE, MADS, NEWEST_MIN, OVER, find
from z4j.rules.findings.finding import Finding
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


def many(*minutes: tuple[int, int], usual: tuple[Hour, ...] = ()) -> Finding | None:
    """The finding with these minutes of (ended, failed), the newest last; nothing ran before."""
    each = [Counts(ended, ended, bad) for ended, bad in minutes]
    return find(replace(name(usual=usual), minutes=(*[Counts()] * (60 - len(each)), *each)))


EIGHTH = (hour(started=600, bad=75),) * 12


def test_limits_are_those_of_the_documents() -> None:
    assert (LEAST_BAD, LEAST_SHARE, FACTOR, MADS, OVER, NEWEST_MIN, EXPECTED, CERTAIN) == (5, 0.05, 3.0, 6.0, 4, 2, 6.0, 4.0)


def test_the_limit_is_three_times_what_is_usual_or_six_deviations_above_it() -> None:
    assert many(*[(16, 6)] * 15, usual=EIGHTH), "three eighths"
    assert not many(*[(16, 6)] * 14, (16, 5), usual=EIGHTH)
    wild = (*[hour(started=600, bad=75)] * 6, *[hour(started=600, bad=225)] * 6)
    assert many(*[(16, 16)] * 15, usual=wild), "a median of one quarter, and six eighths above it"
    assert not many(*[(16, 16)] * 14, (16, 15), usual=wild)


def test_four_standard_deviations_above_the_expected_number() -> None:
    assert many((24, 11), usual=EIGHTH), "3 are expected, and 4 times the root of 4 above it"
    assert not many((24, 10), usual=EIGHTH)
    assert many((5, 5))
    assert not many((4, 4)), "four failures are too few, all of them as they are"


def test_the_level() -> None:
    levels = [
        each.level for each in (many(*[(10, 2)] * 15), many(*[(20, 3)] * 10, *[(20, 4)] * 5), many(*[(20, 3)] * 11, *[(20, 4)] * 4)) if each
    ]
    assert levels == ["bad", "bad", "warn"], "a fifth failed; 50 did; 49 did, fewer than a fifth"
    none = many(*[(10, 4)] * 15, usual=(hour(bad=0),) * 12)
    assert none is not None
    assert none.why.startswith("usually none, in")


def test_when_it_is_over() -> None:
    busy = [(1_000, 192)] * 10 + [(1_000, 190)]
    assert not many(*busy, *[(1_000, 35)] * 4), "less than a quarter of the 15 % of before"
    assert many(*busy, *[(1_000, 38)] * 4)
    mild = [(1_000, 100)] * 11
    assert not many(*mild, *[(1_000, 20)] * 4), "less than half of the limit"
    assert many(*mild, *[(1_000, 25)] * 4)
    assert not many(*[(10, 4)] * 11, (2, 0), (1, 0), (1, 0), (1, 0)), "five runs are enough"
    before = [(37, 7)] * 12
    assert not many(*before, (36, 12), (16, 0), (16, 0)), "6 of 32 were to fail, and none did"
    assert many(*before, (36, 12), (16, 0), (15, 0))


def test_it_began_after_the_last_minute_below_the_limit() -> None:
    begins = [each.since and (T - each.since) // MINUTE_US for each in (
        many(*[(10, 9)] * 5, (10, 0), *[(10, 9)] * 5), many(*[(10, 9)] * 3, (0, 0), *[(10, 9)] * 3), many((100, 5), *[(10, 9)] * 5),
        many((100, 4), *[(10, 9)] * 5),
    ) if each]  # fmt: skip
    assert begins == [4, 6, 5, 4], "a minute without runs, and one with exactly the limit, belong to it"
