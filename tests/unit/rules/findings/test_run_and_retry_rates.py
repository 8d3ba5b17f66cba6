# SPDX-License-Identifier: AGPL-3.0-or-later
"""When a task name is found to run seldom, or to be retried again and again."""

from __future__ import annotations

from tests.unit.rules.findings.examples import T, hour, name
from z4j.rules.findings.activity import Counts
from z4j.rules.findings.run_and_retry_rates import find
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
