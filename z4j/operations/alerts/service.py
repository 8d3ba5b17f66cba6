# SPDX-License-Identifier: AGPL-3.0-or-later
"""Alerts of this server: decided after each evaluation of the findings, and stored in one durable transaction with their messages.

Only the findings of the last evaluation are kept in memory. After a restart, the server continues with the stored alerts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

from z4j.live import Live
from z4j.rules.alerts import message
from z4j.rules.alerts.alert_decision import Match, MessageKind
from z4j.rules.alerts.alert_progress import Progress, Step
from z4j.rules.alerts.alert_rule import AlertRule, own_subjects
from z4j.rules.alerts.quiet_hours import Maintenance, quiet_until
from z4j.rules.findings.finding import Finding, Scope
from z4j.rules.rollups import DAY_US
from z4j.store.alerts import alert_rules, alerts, channels, messages
from z4j.store.alerts.alert_rules import StoredRule
from z4j.store.alerts.alerts import StoredAlert
from z4j.store.forwarding import alert_events
from z4j.store.sqlite.db import Connection, Store

WEEK_US: Final = 7 * DAY_US
KEPT_US: Final = 90 * DAY_US
"""How long resolved alerts and finished messages are kept."""


class Group(NamedTuple):
    """An alert is about one rule in one app and environment."""

    rule: int
    scope: Scope


class Change(NamedTuple):
    """The changes of the alert of a group since the last evaluation, with its ID, None for a new one."""

    rule: StoredRule
    id: int | None
    steps: list[Step]


class Alerts:
    """One per server."""

    def __init__(self, store: Store, live: Live) -> None:
        self.store = store
        self.live = live
        self._matches: dict[Group, Mapping[str, Match]] = {}

    async def round(self, found: Sequence[Finding], at: int) -> None:
        """Evaluates all alerts with the findings at this time (microseconds UTC). Raises StoreError."""
        rules = [each for each in await alert_rules.list_rules(self.store) if each.rule.is_enabled]
        open_ = {Group(each.rule_id, each.alert.scope): each for each in await alerts.list_open(self.store)}
        if not rules and not open_:
            return
        windows = [row.window for row in await alert_rules.list_maintenance(self.store, at - WEEK_US)]
        known = {channel.id for channel in await channels.list_channels(self.store) if channel.is_enabled}
        now: dict[Group, Mapping[str, Match]] = {}
        changes: list[Change] = []
        for rule in rules:
            now |= matches_of(rule.id, rule.rule, found)
            groups = {group for group in (*now, *open_, *self._matches) if group.rule == rule.id}
            if groups:
                changes += await self._of_rule(rule, groups, now, open_, windows, at)
        if changes:
            await self.store.write(partial(_save, changes=changes, known=known), durable=True)
            self.live.changed(("alerts", "now"))
        self._matches = now

    async def _of_rule(
        self, rule: StoredRule, groups: Iterable[Group], now: Mapping[Group, Mapping[str, Match]],
        open_: Mapping[Group, StoredAlert], windows: Sequence[Maintenance], at: int,
    ) -> list[Change]:  # fmt: skip
        fired, changes = await alerts.last_fired(self.store, rule.id), []
        for group in sorted(groups):
            stored = open_.get(group)
            progress = Progress(
                rule.rule, group.scope, stored.alert if stored else None, fired.get(group.scope), self._matches.get(group, {})
            )
            if steps := progress.look(now.get(group, {}), at, windows):
                changes.append(Change(rule, stored.id if stored else None, steps))
        return changes

    async def delete_old(self, at: int) -> None:
        """Deletes some old alerts and messages."""
        before = at - KEPT_US
        for delete in (alerts.delete_old, messages.delete_old, alert_rules.delete_maintenance):
            await self.store.write(partial(delete, before=before))


def matches_of(id: int, rule: AlertRule, found: Iterable[Finding]) -> dict[Group, dict[str, Match]]:
    """Returns the findings that match a rule with this ID, by app and environment."""
    groups: dict[Group, dict[str, Match]] = {}
    own = own_subjects(id)
    for finding in found:
        if rule.matches(finding, own):
            scope = Scope(finding.scope.app, finding.scope.environment)
            groups.setdefault(Group(id, scope), {})[finding.key] = match_of(finding)
    return groups


def match_of(finding: Finding) -> Match:
    """Returns the part of a current finding that alerts use."""
    href = finding.action.href if finding.action else next((link.href for link in finding.evidence), "/")
    since = finding.since or finding.found_at or 0
    return Match(finding.key, finding.level, finding.title, finding.text, href, since, finding.found_at or since)


def _save(db: Connection, changes: Iterable[Change], known: set[int]) -> None:
    for change in changes:
        rule, id = change.rule.rule, change.id
        for step in change.steps:
            first: MessageKind = step.messages[0] if step.messages else "fired"
            title = message.body(first, rule, step.alert, step.at)["title"]
            id = alerts.put_alert(db, id, change.rule.id, rule.name, rule.severity, title, step.alert)
            for kind in step.messages:
                _add_messages(db, id, rule, kind, step, known)
                alert_events.add_event(db, id, kind, message.body(kind, rule, step.alert, step.at), step.at)
            if step.alert.resolved_at is not None:
                id = None  # what comes after it is another alert


def _add_messages(db: Connection, id: int, rule: AlertRule, kind: MessageKind, step: Step, known: set[int]) -> None:
    to = set(rule.escalate_to if kind == "escalated" else rule.channels)
    if kind in ("resolved", "worse") and step.alert.escalated_at is not None:
        to |= set(rule.escalate_to)
    if kind == "resolved":
        messages.withdraw_held(db, id, step.at)
    elif kind == "reminder":
        messages.withdraw_reminders(db, id)
    waits = None if kind == "escalated" or rule.severity == "critical" else quiet_until(step.at, rule.quiet)
    body = message.body(kind, rule, step.alert, step.at)
    for channel in sorted(to & known):
        messages.add_message(db, id, channel, kind, body, step.at, waits or step.at)
