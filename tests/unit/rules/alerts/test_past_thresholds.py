# SPDX-License-Identifier: AGPL-3.0-or-later
"""A look at the past finds each time at which a limit was exceeded, from its first minute to its last."""

from __future__ import annotations

from tests.unit.rules.alerts.examples import MINUTE, SHOP, T, at_once
from z4j.rules.alerts.past_thresholds import past_findings
from z4j.rules.alerts.threshold_measures import NOTHING, MinuteSample, Threshold


def test_each_time_over_the_limit_is_found_with_its_minutes() -> None:
    rule = at_once(threshold=Threshold("failures", 3, minutes=2))
    bad = MinuteSample(bad=2)
    rows = [NOTHING, bad, NOTHING, bad, bad, bad, NOTHING, NOTHING, bad, bad]
    found = list(past_findings(1, rule, {(SHOP, "mail"): rows}, T, T + 10 * MINUTE))
    assert [((each.match.found_at - T) // MINUTE, None if each.ended_at is None else (each.ended_at - T) // MINUTE) for each in found] == [
        (5, 7), (10, None),
    ]  # fmt: skip
    assert all(each.match.since == each.match.found_at for each in found)
    assert found[0].match.key.startswith("threshold|shop|production||rule 1: mail")


def test_fewer_minutes_than_a_window_say_nothing() -> None:
    rule = at_once(threshold=Threshold("failures", 3, minutes=5))
    assert list(past_findings(1, rule, {(SHOP, "mail"): [MinuteSample(bad=9)] * 4}, T, T + 4 * MINUTE)) == []


def test_a_period_is_of_its_scope_and_of_the_minutes_of_its_own_window() -> None:
    rule = at_once(threshold=Threshold("failures", 3, minutes=2))
    bad = MinuteSample(bad=2)
    rows = [bad, bad, NOTHING, NOTHING, MinuteSample(bad=4), NOTHING, NOTHING, MinuteSample(bad=5)]
    found = list(past_findings(1, rule, {(SHOP, "mail"): rows}, T, T + 8 * MINUTE))
    assert [each.scope for each in found] == [SHOP] * 3, "of one that has ended, and of one that has not"
    assert [each.match.title for each in found] == ["mail: failed runs 4", "mail: failed runs 4", "mail: failed runs 5"]
    assert [(each.match.found_at - T) // MINUTE for each in found] == [2, 5, 8]
    assert {each.match.href for each in found} == {""}
