# SPDX-License-Identifier: AGPL-3.0-or-later
"""The content of a message: title and text for people, and the same as JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from z4j.formats import absolute, duration, plural
from z4j.rules.alerts.alert_decision import Alert, Item, MessageKind
from z4j.rules.alerts.alert_rule import AlertRule

SHOWN: Final = 10
"""Findings that a message lists; further ones are counted."""
FORMAT: Final = 1
WORDS: Final[Mapping[MessageKind, str]] = {
    "fired": "", "worse": "Worse: ", "reminder": "Reminder: ", "escalated": "Escalated: ", "resolved": "Resolved: ", "test": "Test: ",
    "alive": "",
}  # fmt: skip


def body(kind: MessageKind, rule: AlertRule, alert: Alert, at: int) -> dict[str, Any]:
    """Returns the stored part of a message. Its ID, alert number and links are added by `delivered`."""
    items = [item for item in alert.items if item.ended_at is None] if kind != "resolved" else list(alert.items)
    where = " · ".join(part for part in (alert.scope.app, alert.scope.environment) if part)
    first = max(items, key=lambda item: (item.match.level == "bad", -item.joined_at)).match.title if items else rule.name
    more = len(items) - 1
    return {
        "format": FORMAT, "kind": kind, "rule": rule.name, "severity": rule.severity, "level": alert.level, "app": alert.scope.app,
        "environment": alert.scope.environment, "at": at, "fired_at": alert.fired_at, "resolved_at": alert.resolved_at,
        "title": f"{WORDS[kind]}{first}{f' and {more} more' if more > 0 else ''}{f' ({where})' if where else ''}",
        "findings": [_finding(item) for item in items[:SHOWN]], "more": max(len(items) - SHOWN, 0),
    }  # fmt: skip


def _finding(item: Item) -> dict[str, Any]:
    match = item.match
    return {
        "title": match.title, "text": match.text, "level": match.level, "since": match.since, "ended_at": item.ended_at, "href": match.href,
    }  # fmt: skip


def delivered(stored: Mapping[str, Any], *, id: str, alert: int | None, address: str, acknowledge: str) -> dict[str, Any]:
    """Returns the message with its id and with whole URLs. `address` is the URL of this server, such as https://z4j.example;
    `acknowledge` is the path of the link that acknowledges, "" for none."""
    findings = [{**{key: value for key, value in each.items() if key != "href"}, "url": _url(address, each["href"])}
                for each in stored.get("findings", ())]  # fmt: skip
    found = {**stored, "id": id, "findings": findings}
    if alert is not None:
        found |= {"alert": alert, "url": f"{address}/alerts/{alert}"}
    return found | ({"acknowledge_url": f"{address}{acknowledge}"} if acknowledge else {})


def text(message: Mapping[str, Any]) -> str:
    """Returns the text of a message of `delivered`, in plain lines."""
    lines = [str(message["text"])] if message.get("text") else []
    for finding in message["findings"]:
        over = f", ended after {duration(finding['ended_at'] - finding['since'])}" if finding["ended_at"] is not None else ""
        lines += [f"- {finding['title']}: {finding['text']} (since {absolute(finding['since'])}{over})", f"  {finding['url']}"]
    if message.get("more"):
        lines.append(f"and {plural(message['more'], 'more finding')}.")
    if message.get("rule"):
        lines.append(f"Rule: {message['rule']} ({message['severity']})")
    for key, what in (("url", "Alert"), ("acknowledge_url", "Acknowledge")):
        if message.get(key):
            lines.append(f"{what}: {message[key]}")
    return "\n".join([*lines, f"Message {message['id']}"])


def _url(address: str, href: str) -> str:
    return f"{address}{href}" if href.startswith("/") else href
