# SPDX-License-Identifier: AGPL-3.0-or-later
"""Findings, rules and times that tests of alerts share."""

from __future__ import annotations

from typing import Any

from z4j.rules.alerts.alert_decision import Match
from z4j.rules.alerts.alert_rule import AlertRule
from z4j.rules.findings.finding import Finding, Level, Link, Scope

T = 1_790_000_040_000_000
"""A whole minute."""
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
SHOP = Scope("shop", "production")
RQ = Scope("shop", "production", "rq")


def match(key: str = "a", since: int = T, level: Level = "bad", found_at: int | None = None) -> Match:
    return Match(key, level, f"{key} is wrong", "3 of 4", f"/{key}", since, since if found_at is None else found_at)


def at_once(**more: Any) -> AlertRule:
    values: dict[str, Any] = {"name": "everything", "cooldown_s": 0, "channels": (1,)}
    return AlertRule(**values | more)


def finding(kind: str = "error", subject: str = "7", level: Level = "bad", scope: Scope = RQ) -> Finding:
    return Finding(
        kind, subject, level, 10, "Emails fail", "12 of 14 failed", "usually none", scope, T, Link("Open", "/errors/7"), found_at=T
    )
