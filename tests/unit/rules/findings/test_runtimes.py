# SPDX-License-Identifier: AGPL-3.0-or-later
"""When a task name is found to be slow or suspiciously fast."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.rules.findings.examples import hour, name, runs
from z4j.rules.findings.activity import Counts
from z4j.rules.findings.runtimes import find


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
