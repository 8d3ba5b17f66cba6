# SPDX-License-Identifier: AGPL-3.0-or-later
"""One cause is one finding."""

from __future__ import annotations

from typing import Any

from tests.unit.rules.findings.examples import SHOP
from z4j.rules.findings.causes import without_repeats
from z4j.rules.findings.finding import Finding, key_of


def finding(kind: str, subject: str = "emails.send", **changes: Any) -> Finding:
    fields: dict[str, Any] = {"level": "warn", "weight": 100, "title": "t", "text": "t", "why": "w", "scope": SHOP}
    return Finding(kind, subject, **(fields | changes))


def explaining(*kinds: str, **changes: Any) -> Finding:
    return finding("killed", explains=tuple(key_of(kind, SHOP, "emails.send") for kind in kinds), **changes)


def test_what_is_explained_is_not_repeated() -> None:
    other = finding("failing_more", "emails.other")
    found = without_repeats([finding("failing_more"), explaining("failing_more"), other])
    assert {(each.kind, each.subject) for each in found} == {("killed", "emails.send"), ("failing_more", "emails.other")}
    assert without_repeats([other, finding("slow")]) == [other, finding("slow")]
    assert without_repeats([explaining("failing_more")]) == [explaining("failing_more")], "nothing to explain"


def test_a_cause_hurts_as_much_as_what_it_explains() -> None:
    [one] = without_repeats([finding("failing_more", level="bad", weight=400, since=7), explaining("failing_more", since=9)])
    assert (one.kind, one.level, one.weight, one.since) == ("killed", "bad", 400, 7)
    [same] = without_repeats([finding("failing_more", weight=50), explaining("failing_more", weight=60)])
    assert (same.level, same.weight, same.since) == ("warn", 60, None)


def test_of_two_that_explain_each_other_one_stays() -> None:
    first, second = explaining("slow", weight=10), finding("slow", weight=20, explains=(explaining().key,))
    assert [each.kind for each in without_repeats([first, second])] == ["slow"]
    assert [each.kind for each in without_repeats([explaining("killed")])] == ["killed"]
    assert [each.weight for each in without_repeats([finding("slow", weight=1), finding("slow", weight=2)])] == [2], "the same key"
