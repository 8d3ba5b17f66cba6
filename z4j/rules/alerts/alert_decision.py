# SPDX-License-Identifier: AGPL-3.0-or-later
"""Decides what happens with one alert at one moment. Times are microseconds UTC.

An alert belongs to one rule in one app and environment and contains every finding of the rule there, so that a burst is one message.
Changes take effect at the time they are due, not at the time of the evaluation: see `alert_progress.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

from z4j.rules.alerts.alert_rule import LEVELS, AlertRule
from z4j.rules.alerts.quiet_hours import Maintenance, maintained_until
from z4j.rules.findings.finding import Level, Scope

SECOND_US: Final = 1_000_000
MessageKind = Literal["fired", "worse", "reminder", "escalated", "resolved", "test", "alive"]


class Match(NamedTuple):
    """The part of a finding that rules use; `found_at` is when it was first reported, `since` when it began."""

    key: str
    level: Level
    title: str
    text: str
    href: str
    since: int
    found_at: int


@dataclass(frozen=True, slots=True)
class Item:
    """A finding in an alert. `ended_at` is None while it is open."""

    match: Match
    joined_at: int
    ended_at: int | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert and its state. `opened_at`: when its first finding had lasted long enough; `fired_at`: None while a cooldown or maintenance
    delays it. `level` is the worst so far."""

    scope: Scope
    opened_at: int
    level: Level = "warn"
    items: tuple[Item, ...] = ()
    fired_at: int | None = None
    reminded_at: int | None = None
    escalated_at: int | None = None
    acknowledged_at: int | None = None
    acknowledged_by: str = ""
    resolved_at: int | None = None

    @property
    def open_items(self) -> tuple[Item, ...]:
        """The open findings."""
        return tuple(item for item in self.items if item.ended_at is None)


class Decision(NamedTuple):
    """The alert as it is now, and the messages that are due."""

    alert: Alert
    messages: tuple[MessageKind, ...] = ()


def due_at(rule: AlertRule, match: Match) -> int:
    """Returns when a finding has lasted long enough."""
    return max(match.found_at, match.since + rule.for_s * SECOND_US)


def fires_at(rule: AlertRule, alert: Alert, last_fired_at: int | None, maintenance: Iterable[Maintenance]) -> int:
    """Returns when an alert that has not fired may fire: after the cooldown and outside of maintenance. `last_fired_at` is of the previous
    alert in the same app and environment."""
    known, may = tuple(maintenance), alert.opened_at
    if last_fired_at is not None:
        may = max(may, last_fired_at + rule.cooldown_s * SECOND_US)
    while (ends := maintained_until(may, alert.scope, known)) is not None:
        may = ends
    return may


def next_at(
    rule: AlertRule, alert: Alert | None, matches: Iterable[Match], *, last_fired_at: int | None, maintenance: Iterable[Maintenance]
) -> int | None:  # fmt: skip
    """Returns the next time at which the alert changes if the findings do not; None: never."""
    held = {item.match.key for item in alert.open_items} if alert else set()
    times = [due_at(rule, match) for match in matches if match.key not in held]
    if alert is not None and alert.open_items:
        if alert.fired_at is None:
            times.append(fires_at(rule, alert, last_fired_at, maintenance))
        elif alert.acknowledged_at is None:
            if rule.escalate_s and alert.escalated_at is None:
                times.append(alert.fired_at + rule.escalate_s * SECOND_US)
            if rule.reminder_s:
                times.append((alert.reminded_at or alert.fired_at) + rule.reminder_s * SECOND_US)
    return min(times, default=None)


def decide(
    rule: AlertRule, scope: Scope, alert: Alert | None, matches: Mapping[str, Match], at: int, *,
    last_fired_at: int | None, maintenance: Iterable[Maintenance],
) -> Decision | None:  # fmt: skip
    """Returns the new state of an open alert (None: there is none yet) with the findings of its rule and scope by key, or None if none of
    them has lasted long enough for one."""
    lasting = [match for match in matches.values() if due_at(rule, match) <= at]
    if alert is None:
        if not lasting:
            return None
        alert = Alert(scope, min(due_at(rule, match) for match in lasting))
    alert = replace(alert, items=_items(alert, matches, lasting, at))
    if not alert.open_items:
        return Decision(replace(alert, resolved_at=at), () if alert.fired_at is None else ("resolved",))
    before = alert.level
    alert = replace(alert, level=_worst([before, *(item.match.level for item in alert.open_items)]))
    if alert.fired_at is None:
        fires = fires_at(rule, alert, last_fired_at, maintenance)
        return Decision(alert) if fires > at else Decision(replace(alert, fired_at=fires), ("fired",))
    return _continue_firing(rule, alert, alert.fired_at, at, is_worse=alert.level != before)


def _items(alert: Alert, matches: Mapping[str, Match], lasting: Iterable[Match], at: int) -> tuple[Item, ...]:
    """The findings of the alert: new ones are added, missing ones are ended, and returning ones are reopened."""
    known = {item.match.key: item for item in alert.items}
    for key, item in known.items():
        if key in matches:
            known[key] = replace(item, match=matches[key], ended_at=None)
        elif item.ended_at is None:
            known[key] = replace(item, ended_at=at)
    for match in lasting:
        known.setdefault(match.key, Item(match, at))
    return tuple(known.values())


def _continue_firing(rule: AlertRule, alert: Alert, fired_at: int, at: int, *, is_worse: bool) -> Decision:
    messages: list[MessageKind] = ["worse"] if is_worse else []
    if alert.acknowledged_at is None:
        if rule.escalate_s and alert.escalated_at is None and at >= fired_at + rule.escalate_s * SECOND_US:
            alert, messages = replace(alert, escalated_at=at), [*messages, "escalated"]
        every, last = rule.reminder_s * SECOND_US, alert.reminded_at or fired_at
        if every and at >= last + every:  # a server that was down for several of them sends one
            alert, messages = replace(alert, reminded_at=last + (at - last) // every * every), [*messages, "reminder"]
    return Decision(alert, tuple(messages))


def _worst(levels: Iterable[Level]) -> Level:
    return max(levels, key=LEVELS.__getitem__)
