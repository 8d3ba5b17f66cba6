# SPDX-License-Identifier: AGPL-3.0-or-later
"""Dry run of a rule over past findings: the same decisions, in the order in which the findings began and ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from z4j.rules.alerts.alert_decision import Alert, Match
from z4j.rules.alerts.alert_progress import Progress
from z4j.rules.alerts.alert_rule import AlertRule
from z4j.rules.alerts.quiet_hours import Maintenance
from z4j.rules.findings.finding import Scope


class PastFinding(NamedTuple):
    """A past finding. `ended_at` is None if it is still open."""

    scope: Scope
    match: Match
    ended_at: int | None


class DryRun(NamedTuple):
    """The alerts that would have been opened, in order, and the number of messages."""

    alerts: tuple[Alert, ...]
    messages: int

    @property
    def fired(self) -> tuple[Alert, ...]:
        """Those that would have fired."""
        return tuple(alert for alert in self.alerts if alert.fired_at is not None)


def dry_run(rule: AlertRule, past: Iterable[PastFinding], until: int, maintenance: Sequence[Maintenance] = ()) -> DryRun:
    """Returns what the rule would have done until a time with its matching findings."""
    groups: dict[Scope, list[PastFinding]] = {}
    for finding in past:
        groups.setdefault(Scope(finding.scope.app, finding.scope.environment), []).append(finding)
    alerts, messages = [], 0
    for scope, findings in groups.items():
        of_group, sent = _replay(Progress(rule, scope), findings, until, maintenance)
        alerts += of_group
        messages += sent
    return DryRun(tuple(sorted(alerts, key=lambda alert: alert.opened_at)), messages)


def _replay(
    progress: Progress, findings: Sequence[PastFinding], until: int, maintenance: Sequence[Maintenance]
) -> tuple[list[Alert], int]:  # fmt: skip
    times = {finding.match.found_at for finding in findings} | {finding.ended_at for finding in findings if finding.ended_at is not None}
    begun: dict[int, list[PastFinding]] = {}
    over: dict[int, list[PastFinding]] = {}
    for finding in findings:
        begun.setdefault(finding.match.found_at, []).append(finding)
        if finding.ended_at is not None:
            over.setdefault(finding.ended_at, []).append(finding)
    present: dict[str, Match] = {}
    alerts: dict[int, Alert] = {}
    sent = 0
    for at in [*sorted(time for time in times if time <= until), until]:
        for finding in over.get(at, ()):
            present.pop(finding.match.key, None)
        present |= {finding.match.key: finding.match for finding in begun.get(at, ())}
        for step in progress.look(dict(present), at, maintenance):
            alerts[step.alert.opened_at] = step.alert
            sent += len(step.messages)
    return list(alerts.values()), sent
