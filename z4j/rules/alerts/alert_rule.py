# SPDX-License-Identifier: AGPL-3.0-or-later
"""Alert rules: which findings they match, how long a finding must last, which channels are notified, and how often."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Final, Literal

import msgspec

from z4j.exceptions import BadInput
from z4j.rules.alerts.quiet_hours import Weekly, check_weekly
from z4j.rules.alerts.threshold_measures import MEASURES, Threshold
from z4j.rules.findings.finding import Finding, Level, Scope

Severity = Literal["critical", "warning", "info"]
SEVERITIES: Final[tuple[Severity, ...]] = ("critical", "warning", "info")
"""The severity of a message; quiet hours delay all but `critical`."""
LEVELS: Final[dict[Level, int]] = {"warn": 0, "blind": 1, "bad": 2}
"""Levels of findings, the mildest first."""
LONGEST_S: Final = 366 * 24 * 3_600
NAME: Final = 100
THRESHOLD: Final = "threshold"
"""The kind of findings that come from the threshold of a rule."""


class AlertRule(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Lengths of time are whole seconds. Stored as JSON, so a field that is added later has a default."""

    name: str
    severity: Severity = "warning"
    threshold: Threshold | None = None
    """The measured value and its limit; None: the rule matches findings of other kinds."""
    kinds: tuple[str, ...] = ()
    """Kinds of findings; none: every kind."""
    level: Level = "warn"
    """The mildest level of findings that counts."""
    app: str = ""
    environment: str = ""
    engine: str = ""
    subject: str = ""
    """The subject of a finding, such as a task name or a queue; `*` matches any characters. Empty: every subject."""
    for_s: int = 0
    """How long a finding has to last before the alert fires."""
    cooldown_s: int = 300
    """The shortest time between two alerts about the same app and environment."""
    reminder_s: int = 0
    """Interval of reminders until the alert is acknowledged; 0: no reminders."""
    escalate_s: int = 0
    """Time without an acknowledgement after which the channels of `escalate_to` are notified, also in quiet hours; 0: never."""
    channels: tuple[int, ...] = ()
    escalate_to: tuple[int, ...] = ()
    quiet: tuple[Weekly, ...] = ()
    """Quiet hours: messages are delayed, unless they are critical or escalated."""
    is_enabled: bool = True

    @property
    def scope(self) -> Scope:
        """App, environment and engine of matching findings."""
        return Scope(self.app, self.environment, self.engine)

    def matches(self, finding: Finding, own: str) -> bool:
        """Whether a finding matches this rule; `own` is the prefix of the subjects of its threshold, see `own_subjects`."""
        if self.threshold is not None:
            return finding.kind == THRESHOLD and finding.subject.startswith(own)
        if finding.kind == THRESHOLD or (self.kinds and finding.kind not in self.kinds):
            return False
        if LEVELS[finding.level] < LEVELS[self.level] or not self.scope.holds(finding.scope):
            return False
        return self.matches_subject(finding.subject)

    def matches_subject(self, subject: str) -> bool:
        """Whether the rule matches this task name, queue or other subject of a finding."""
        return not self.subject or fnmatchcase(subject, self.subject)


def own_subjects(rule: int) -> str:
    """Returns the prefix of the subjects of a rule's threshold."""
    return f"rule {rule}: "


def checked(rule: AlertRule, channels: set[int]) -> AlertRule:
    """Returns the rule if it is valid. Raises BadInput with the reason."""
    if not rule.name.strip() or len(rule.name) > NAME or not rule.name.isprintable():
        raise BadInput(f"A rule needs a name of at most {NAME} printable characters. No changes were made.")
    for field in ("for_s", "cooldown_s", "reminder_s", "escalate_s"):
        if not 0 <= getattr(rule, field) <= LONGEST_S:
            raise BadInput(f"{field} must be between 0 seconds and a year. No changes were made.")
    if 0 < rule.reminder_s < 60:
        raise BadInput("The reminder interval must be at least one minute. No changes were made.")
    if bool(rule.escalate_s) != bool(rule.escalate_to):
        raise BadInput("An escalation needs a time and at least one channel. No changes were made.")
    if unknown := {*rule.channels, *rule.escalate_to} - channels:
        raise BadInput(f"Unknown channel {min(unknown)}. No changes were made.", "Choose from the list of channels.")
    for weekly in rule.quiet:
        check_weekly(weekly)
    if rule.threshold is not None:
        MEASURES[rule.threshold.measure].check(rule.threshold)
        if rule.threshold.measure == "absent" and (not rule.subject or "*" in rule.subject):
            raise BadInput("This measure requires the full name of one task. No changes were made.")
    return rule
