# SPDX-License-Identifier: AGPL-3.0-or-later
"""Advances the alert of one rule and scope from one evaluation of the findings to the next. The server and the dry run share it, so both
fire at the same times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from z4j.rules.alerts.alert_decision import Alert, Match, MessageKind, decide, next_at
from z4j.rules.alerts.alert_rule import AlertRule
from z4j.rules.alerts.quiet_hours import Maintenance
from z4j.rules.findings.finding import Scope

STEPS: Final = 10_000
"""Maximum steps between two evaluations: more than a year of hourly reminders."""


class Step(NamedTuple):
    """What happened at a time (microseconds UTC): the alert as it was then, and its messages."""

    at: int
    alert: Alert
    messages: tuple[MessageKind, ...]


@dataclass(slots=True)
class Progress:
    """The alert of a rule in an app and environment, and the findings of the last evaluation."""

    rule: AlertRule
    scope: Scope
    alert: Alert | None = None
    last_fired_at: int | None = None
    matches: Mapping[str, Match] = field(default_factory=dict)

    def look(self, matches: Mapping[str, Match], at: int, maintenance: Sequence[Maintenance] = ()) -> list[Step]:
        """Advances to a time: first the changes that became due with the previous findings, then those caused by these findings. Returns
        every change, the earliest first."""
        steps: list[Step] = []
        for _ in range(STEPS):
            due = next_at(self.rule, self.alert, self.matches.values(), last_fired_at=self.last_fired_at, maintenance=maintenance)
            if due is None or due >= at:
                break
            steps += self._decide(self.matches, due, maintenance)
        self.matches = matches
        return steps + self._decide(matches, at, maintenance)

    def _decide(self, matches: Mapping[str, Match], at: int, maintenance: Sequence[Maintenance]) -> list[Step]:
        found = decide(
            self.rule, self.scope, self.alert, matches, at, last_fired_at=self.last_fired_at, maintenance=maintenance
        )  # fmt: skip
        if found is None or (found.alert == self.alert and not found.messages):
            return []
        alert = found.alert
        if alert.fired_at is not None and (self.alert is None or self.alert.fired_at is None):
            self.last_fired_at = alert.fired_at
        self.alert = None if alert.resolved_at is not None else alert
        return [Step(at, alert, found.messages)]
