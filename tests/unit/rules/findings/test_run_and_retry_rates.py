# SPDX-License-Identifier: AGPL-3.0-or-later
"""When a task name is found to run seldom, or to be retried again and again."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.rules.findings.examples import T, hour, name
from z4j.rules.findings.activity import Counts, Hour
from z4j.rules.findings.finding import Finding
from z4j.rules.findings.run_and_retry_rates import LEAST_USUAL, MADS, RETRY_SHARE, SELDOM_FACTOR, WINDOWS, find
from z4j.rules.rollups import MINUTE_US


def test_a_retry_storm_is_found() -> None:
    found = find(name(Counts(10, 2, 0, 40)))
    assert found is not None
    assert (found.kind, found.level) == ("retries", "bad")
    assert found.text == "600 retries for 150 tasks in 15 minutes"
    assert find(name(Counts(10, 2, 0, 40), Counts(10, 10, 0, 0))) is None, "over"
    assert find(name(Counts(10, 10, 0, 2))) is None
    assert find(name(Counts(10, 2, 0, 40), usual=(hour(retried=2_400),) * 12)) is None, "always so"


def test_what_does_not_run_is_missed() -> None:
    found = find(name(Counts(), earlier=Counts(), minutes=60))
    assert found is not None
    assert (found.kind, found.title) == ("seldom", "emails.send has not run")
    assert found.text == "0 runs ended in the last hour, usually 600"
    stopped = find(name(Counts(), earlier=Counts(10, 10), minutes=50))
    assert stopped is not None
    assert stopped.title == "emails.send runs less than usual"
    assert stopped.since == T - 50 * MINUTE_US


def test_what_seldom_ran_is_not_missed() -> None:
    assert find(name(Counts(), earlier=Counts(), minutes=60, usual=(hour(started=10),) * 12)) is None
    assert find(name(Counts(), earlier=Counts(), minutes=60, usual=(hour(),) * 3)) is None, "three hours to compare with"
    assert find(name()) is None
    assert find(name(Counts(), Counts(10, 10), earlier=Counts(), minutes=60)) is None, "it runs again"


def test_a_storm_is_found_in_its_first_minute() -> None:
    found = find(name(Counts(2, 0, 0, 15), minutes=1, earlier=Counts(6, 6)))
    assert found is not None
    assert found.text == "15 retries for 20 tasks in 4 minutes"
    assert find(name(Counts(2, 0, 0, 14), minutes=1, earlier=Counts(6, 6))) is None


def look(*minutes: Counts, usual: tuple[Hour, ...] = (hour(),) * 12) -> Finding | None:
    """The finding with these minutes, the newest last; nothing ran before."""
    return find(replace(name(usual=usual), minutes=(*[Counts()] * (60 - len(minutes)), *minutes)))


QUIET = (Counts(),) * 9


def test_limits_are_those_of_the_documents() -> None:
    assert (LEAST_USUAL, SELDOM_FACTOR, MADS, WINDOWS, RETRY_SHARE) == (20, 0.3, 4.0, ((15, 30), (4, 15)), 0.5)


def test_one_retry_for_two_tasks_or_twice_as_many_as_usual() -> None:
    assert [bool(look(Counts(started, 0, 0, retried), *QUIET, usual=())) for started, retried in ((60, 30), (60, 29), (61, 30))] == [
        True, False, False,
    ]  # fmt: skip
    always = (hour(started=600, retried=600),) * 12
    found = [look(Counts(20, 900, 0, retried), *QUIET, usual=always) for retried in (40, 39)]
    assert [each.kind if each else "" for each in found] == ["retries", ""]
    assert found[0] is not None
    assert found[0].why == "usually 1.0 retries per task, in this hour of the last 4 weeks"
    alone = look(Counts(0, 0, 0, 30), *QUIET, usual=())
    assert alone is not None
    assert (alone.weight, alone.why) == (480, "not enough earlier hours to compare with")


def test_retries_are_over_where_the_newest_starts_have_few() -> None:
    storm = (Counts(100, 900, 0, 90), *(Counts(),) * 8)
    assert look(*storm, Counts(8, 900, 0, 2), usual=()), "a quarter of the starts"
    assert not look(*storm, Counts(12, 900, 0, 2), usual=())


def test_where_seldom_begins() -> None:
    assert [bool(look(usual=(hour(started=started),) * 12)) for started in (20, 19)] == [True, False]
    wild = (*[hour(started=80)] * 6, *[hour(started=120)] * 6)
    assert [bool(look(Counts(0, ended), *QUIET, usual=wild)) for ended in (19, 20)] == [True, False], "four deviations of 20 below 100"
    often = (hour(started=120),) * 12
    assert [bool(look(Counts(0, ended), usual=often)) for ended in (3, 4, 5)] == [True, True, False], "more than half as often as usual"
    seldom = look(usual=(hour(started=3_000),) * 12)
    assert seldom is not None
    assert seldom.weight == 300


def test_the_last_run_is_named_where_it_was_a_while_ago() -> None:
    texts = [each.why for each in (look(Counts(0, 3), *(Counts(),) * quiet) for quiet in (0, 1, 2)) if each]
    assert texts == [
        "compared with this hour of the last 4 weeks (12 hours)", "compared with this hour of the last 4 weeks (12 hours)",
        "compared with this hour of the last 4 weeks (12 hours); the last one ended 2 minutes ago",
    ]  # fmt: skip
