# SPDX-License-Identifier: AGPL-3.0-or-later
"""Findings from the thresholds of rules: one for each task name or queue above the limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from z4j.formats import duration, plural
from z4j.rules.alerts.alert_rule import THRESHOLD, AlertRule, Severity, own_subjects
from z4j.rules.alerts.threshold_measures import MEASURES, Samples, Threshold, window_of
from z4j.rules.findings.finding import Finding, Level, Link, Scope, name_href, queue_href

MINUTE_US: Final = 60_000_000
LEVEL_OF: Final[dict[Severity, Level]] = {"critical": "bad", "warning": "warn", "info": "warn"}
Subject = tuple[Scope, str]


def find(id: int, rule: AlertRule, samples: Mapping[Subject, Samples], until: int) -> list[Finding]:
    """Returns a finding for each subject over the limit of the rule with this id, whose whole minutes end at `until` (microseconds UTC)."""
    threshold = rule.threshold
    assert threshold is not None
    measure, found = MEASURES[threshold.measure], []
    for (scope, name), minutes in samples.items():
        if not rule.scope.holds(scope) or not rule.matches_subject(name):
            continue
        value = measure.is_over(threshold, minutes)
        if value is None:
            continue
        href = name_href(scope, name) if measure.of == "name" else queue_href(scope, name)
        found.append(
            Finding(
                kind=THRESHOLD, subject=f"{own_subjects(id)}{name}", level=LEVEL_OF[rule.severity], weight=500,
                title=f"{name}: {measure.what} {measure.words(value)}",
                text=f"above the limit of rule {rule.name} ({words_of(threshold)})",
                why=f"measured over the last {plural(window_of(threshold), 'whole minute')}",
                scope=scope, since=None, action=Link("Open the task" if measure.of == "name" else "Open the queue", href),
                evidence=(Link("rule", f"/alerts/rules/{id}"),),
            )
        )  # fmt: skip
    return found


def words_of(threshold: Threshold) -> str:
    """Returns the formatted limit: “5.0% in 10 m”."""
    measure = MEASURES[threshold.measure]
    limit = measure.words(threshold.limit)
    if threshold.measure == "slow_starts":
        return f"{limit} later than {duration(int(threshold.within_s * 1_000_000))}"
    return f"{limit} in {duration(window_of(threshold) * MINUTE_US)}" if measure.of == "name" and threshold.measure != "absent" else limit
