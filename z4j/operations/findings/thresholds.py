# SPDX-License-Identifier: AGPL-3.0-or-later
"""Findings from the thresholds of alert rules. They use whole minutes and are evaluated once a minute."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal

from z4j.rules.alerts import thresholds
from z4j.rules.alerts.alert_rule import THRESHOLD
from z4j.rules.alerts.threshold_measures import MEASURES, window_of
from z4j.rules.findings.finding import Finding
from z4j.rules.rollups import MINUTE_US
from z4j.store.alerts import threshold_inputs
from z4j.store.alerts.alert_rules import StoredRule, list_rules
from z4j.store.findings import findings
from z4j.store.sqlite.db import Store

LATE_US: Final = 5_000_000
"""Delay after the end of a minute: its events have then arrived from all connected agents."""
SOURCES: Final[tuple[Literal["name", "queue"], ...]] = ("name", "queue")


def last_whole_minute(at: int) -> int:
    """Returns the end of the last evaluated minute (microseconds UTC)."""
    return (at - LATE_US) // MINUTE_US * MINUTE_US


class ThresholdFindings:
    """One per server."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._since: dict[str, int] | None = None
        self._looked_at: tuple[int, tuple[StoredRule, ...]] = (0, ())
        self._found: tuple[Finding, ...] = ()

    async def find(self, at: int) -> tuple[Finding, ...]:
        """Returns the findings above the limit of a rule. Raises StoreError."""
        rules = tuple(each for each in await list_rules(self.store) if each.rule.threshold is not None and each.rule.is_enabled)
        until = last_whole_minute(at)
        if (until, rules) != self._looked_at:
            found = [finding for of in SOURCES for finding in await self._measure(of, rules, until)]
            self._found, self._looked_at = await self._dated(found, until), (until, rules)
        return self._found

    async def _measure(self, of: Literal["name", "queue"], rules: tuple[StoredRule, ...], until: int) -> list[Finding]:
        wanted = [(each.id, each.rule, each.rule.threshold) for each in rules if each.rule.threshold is not None]
        wanted = [each for each in wanted if MEASURES[each[2].measure].of == of]
        if not wanted:
            return []
        since = until - max(window_of(threshold) for _, _, threshold in wanted) * MINUTE_US
        minutes = await threshold_inputs.read_minutes(self.store, of, since, until)
        rows = {subject: threshold_inputs.in_row(each, since, until) for subject, each in minutes.items()}
        found: list[Finding] = []
        for id, rule, threshold in wanted:
            if threshold.measure == "absent" and not any(rule.subject == subject[1] for subject in rows):
                rows = {**rows, (rule.scope, rule.subject): threshold_inputs.in_row({}, since, until)}
            found += thresholds.find(id, rule, rows, until)
        return found

    async def _dated(self, found: list[Finding], until: int) -> tuple[Finding, ...]:
        """Returns the findings with the end of the first minute above the limit."""
        if self._since is None:
            known = await findings.list_open(self.store)
            self._since = {key: each.began_at for key, each in known.items() if key.startswith(f"{THRESHOLD}|")}
        self._since = {finding.key: self._since.get(finding.key, until) for finding in found}
        return tuple(replace(finding, since=self._since[finding.key], found_at=self._since[finding.key]) for finding in found)
