# SPDX-License-Identifier: AGPL-3.0-or-later
"""When a task name is found to be slow or suspiciously fast."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.rules.findings.examples import hour, name, runs
from z4j.rules.findings.activity import Counts, Hour
from z4j.rules.findings.finding import Finding
from z4j.rules.findings.runtimes import (
    LEAST_HOUR,
    LEAST_LATEST,
    LEAST_RUNS,
    LEAST_SLOW,
    LEAST_US,
    MADS,
    QUICK_FACTOR,
    SLOW_FACTOR,
    SLOW_SHARE,
    find,
)


def test_a_slow_dependency_is_found_with_its_numbers() -> None:
    found = find(name(ms=2_000))
    assert found is not None
    assert (found.kind, found.level) == ("slow", "warn")
    assert found.text.startswith("p95 2.")
    assert "usually 0.2" in found.text
    assert "12 hours with runs" in found.why


def test_as_usual_and_with_too_few_runs_nothing_is_found() -> None:
    assert find(name()) is None
    assert find(name(ms=350)) is None, "less than twice"
    assert find(name(Counts(1, 1), ms=2_000)) is None, "15 runs"
    assert find(name(ms=2_000, usual=(hour(started=4),) * 12)) is None, "too few runs to compare with"
    assert find(name(ms=60, usual=(hour(ms=5),) * 12)) is None, "a tenth of a second is not slow"
    wild = tuple(hour(ms=ms) for ms in (100, 200, 400, 800, 1_600, 100, 200, 400, 800, 1_600, 400, 400))
    assert find(name(ms=1_500, usual=wild)) is None, "it varies so much"


def test_it_is_over_when_the_newest_runs_are_as_usual() -> None:
    assert find(name(ms=2_000, latest_ms=200)) is None


def test_what_returns_at_once_is_suspicious() -> None:
    found = find(name(ms=3))
    assert found is not None
    assert found.kind == "quick"
    assert found.text.startswith("p50 ")
    assert find(name(ms=3, latest_ms=200)) is None
    assert find(name(ms=0.2, usual=(hour(ms=2),) * 12)) is None, "it was always quick"


def test_where_most_of_the_newest_runs_are_slow_three_are_enough() -> None:
    activity = name(ms=200, recent=Counts(4, 4))
    few, slow = runs(200, 13), runs(2_000, 3)
    found = find(replace(activity, latest_ran=few | slow))
    assert found is not None
    assert found.text.startswith("p95 2.")
    assert found.why.startswith("the last 4 minutes compared with")
    assert find(replace(activity, latest_ran=runs(200, 14) | runs(2_000, 2))) is None, "two are chance"
    assert find(replace(activity, latest_ran=runs(200, 18) | slow)) is None, "a seventh"


def look(ran: dict[int, int], latest: dict[int, int] | None = None, usual: dict[int, int] | None = None) -> Finding | None:
    """The finding with runtimes by bucket, where 80 is a second and four buckets are twice as long; usually all runs take a second."""
    hours = tuple(Hour(Counts(40, 40), {80: 40} if usual is None else usual) for _ in range(12))
    return find(replace(name(), ran=ran, latest_ran=ran if latest is None else latest, usual=hours))


def kind(found: Finding | None) -> str:
    return found.kind if found else ""


def test_limits_are_those_of_the_documents() -> None:
    assert (LEAST_RUNS, LEAST_LATEST, LEAST_SLOW, LEAST_HOUR) == (20, 5, 3, 10)
    assert (SLOW_SHARE, SLOW_FACTOR, QUICK_FACTOR, MADS, LEAST_US) == (0.15, 2.0, 0.2, 6.0, 100_000.0)


def test_exactly_as_many_runs_as_are_needed() -> None:
    assert [kind(look({90: runs})) for runs in (20, 19)] == ["slow", ""]
    assert [kind(look({90: 40}, {80: runs})) for runs in (5, 4)] == ["", "slow"], "few runs of the newest minutes show no end"
    assert kind(look({90: 40}, {})) == "slow"
    assert [kind(look({90: 40}, usual={80: runs})) for runs in (10, 9)] == ["slow", ""]


def test_more_than_twice_as_long_or_six_deviations() -> None:
    assert [kind(look({bucket: 40}, {})) for bucket in (84, 85)] == ["", "slow"], "exactly twice as long is not more"
    assert [kind(look({90: 40}, {bucket: 40})) for bucket in (84, 85)] == ["", "slow"]
    wild = (*[Hour(Counts(40, 40), {80: 40})] * 6, *[Hour(Counts(40, 40), {84: 40})] * 6)
    found = [find(replace(name(), ran={bucket: 40}, latest_ran={}, usual=wild)) for bucket in (88, 89)]
    assert list(map(kind, found)) == ["", "slow"], "six deviations of half a second above a second and a half"
    slow = look({86: 40})
    assert slow is not None
    assert round(slow.weight) == 170, "60 times the ratio"


def test_a_few_runs_do_not_decide() -> None:
    assert kind(look({80: 39, 100: 1}, {})) == "", "the 95th percentile and not the longest"
    assert kind(look({60: 40}, usual={60: 39, 80: 1})) == "", "it was always as fast"
    assert kind(look({90: 40}, usual={80: 39, 100: 1})) == "slow"
    assert kind(look({90: 40}, {80: 39, 100: 1})) == ""
    assert kind(look({60: 25, 80: 15}, {60: 6, 80: 1})) == "quick", "the median, before and in the newest minutes"
    assert kind(look({60: 40}, {80: 4})) == "quick"
    assert kind(look({77: 40})) == "", "three fifths of the time is no fifth"


def test_several_slow_ones_among_the_newest() -> None:
    assert [kind(look({80: 40}, {80: 20 - slow, 90: slow})) for slow in (3, 2)] == ["slow", ""], "15 of a hundred"
    assert kind(look({80: 40}, {80: 8, 90: 2})) == "", "two are chance, whatever the share"
    assert kind(look({80: 40}, {80: 10, 84: 6})) == "", "a bucket that only ends above the limit"
