# SPDX-License-Identifier: AGPL-3.0-or-later
"""Evaluates the threshold of a rule over past minutes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from z4j.rules.alerts import thresholds
from z4j.rules.alerts.alert_decision import Match
from z4j.rules.alerts.alert_rule import AlertRule
from z4j.rules.alerts.dry_run import PastFinding
from z4j.rules.alerts.threshold_measures import MEASURES, Samples, window_of
from z4j.rules.alerts.thresholds import MINUTE_US, Subject


def past_findings(id: int, rule: AlertRule, samples: Mapping[Subject, Samples], since: int, until: int) -> Iterator[PastFinding]:
    """Yields a finding for each period above the limit, by subject. `samples` are whole minutes from `since` to `until` (microseconds UTC);
    the first result is at the end of the first window."""
    assert rule.threshold is not None
    window, measure = window_of(rule.threshold), MEASURES[rule.threshold.measure]
    for subject, minutes in samples.items():
        begun: Match | None = None
        for end in range(window, len(minutes) + 1):
            at = since + end * MINUTE_US
            if measure.is_over(rule.threshold, minutes[end - window : end]) is None:
                if begun is not None:
                    yield PastFinding(subject[0], begun, at)
                begun = None
            elif begun is None:
                for found in thresholds.find(id, rule, {subject: minutes[end - window : end]}, at):
                    begun = Match(found.key, found.level, found.title, found.text, "", at, at)
        if begun is not None:
            yield PastFinding(subject[0], begun, None)
