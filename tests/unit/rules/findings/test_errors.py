# SPDX-License-Identifier: AGPL-3.0-or-later
"""Groups of failures that are new, came back or rise; and which findings of task names they explain."""

from __future__ import annotations

from typing import Any

from tests.unit.rules.findings.examples import SHOP, T, name
from z4j.rules.findings.activity import Counts
from z4j.rules.findings.errors import MOST, ErrorActivity, find
from z4j.rules.findings.finding import Scope, key_of
from z4j.rules.rollups import DAY_US, HOUR_US, MINUTE_US

SECOND = 1_000_000
SUBJECT = (SHOP, "emails.send")


def error(failures: int = 14, every_s: int = 20, **changes: Any) -> ErrorActivity:
    newest = tuple(T - 10 * SECOND - n * every_s * SECOND for n in range(failures))
    fields: dict[str, Any] = {
        "id": 7, "app": "shop", "error_type": "ConnectionError", "message": "no route to *", "state": "unresolved",
        "first_at": min(newest, default=T), "last_at": max(newest, default=T), "hours": (0,) * 23 + (failures,), "newest": newest,
        "releases": ("2.1",) * min(failures, 20), "has_releases": True, "names": {SUBJECT: failures},
    }  # fmt: skip
    return ErrorActivity(**(fields | changes))


def old(failures: int = 14, hourly: int = 2, **changes: Any) -> ErrorActivity:
    return error(failures, first_at=T - 9 * DAY_US, hours=(hourly,) * 23 + (failures,), **changes)


def test_a_new_group_with_its_release() -> None:
    finding = find(error(), {}, T)
    assert finding is not None
    assert (finding.kind, finding.subject, finding.level, finding.scope) == ("error", "7", "bad", SHOP)
    assert finding.title == "ConnectionError in emails.send"
    assert finding.text == "new, 14 failures in the last hour; the last 14 of them all on release 2.1"
    assert finding.why == "no route to * · first seen within the last hour"
    assert finding.since == T - 10 * SECOND - 13 * 20 * SECOND
    assert finding.action == ("Review 14 and retry…", "/errors/7")
    assert find(error(4), {}, T) is None
    assert find(error(5), {}, T) is not None


def test_releases_that_differ_or_are_not_known_are_not_named() -> None:
    for changes in ({"releases": ("2.1", "2.0")}, {"releases": ("2.1", "")}, {"releases": ()}, {"has_releases": False}):
        finding = find(error(**changes), {}, T)
        assert finding is not None
        assert finding.text == "new, 14 failures in the last hour"


def test_an_old_group_is_found_when_it_rises_or_came_back() -> None:
    rising = find(old(), {}, T)
    assert rising is not None
    assert (rising.text.partition(",")[0], rising.level, rising.since) == ("rises", "warn", None)
    assert rising.why.endswith("usually 2 per hour, in the last 22 hours")
    assert find(old(14, hourly=5), {}, T) is None, "14 is less than three times 5"
    assert find(old(9), {}, T) is not None
    assert find(old(8), {}, T) is None, "2 in most hours, and now and then 8"
    assert find(old(8, hourly=0), {}, T) is not None
    assert find(old(7, hourly=0), {}, T) is None
    back = find(old(14, hourly=5, state="regressed"), {}, T)
    assert back is not None
    assert back.text.startswith("came back, 14 failures")
    assert find(old(50), {}, T).level == "bad"  # type: ignore[union-attr]


def test_it_is_over_when_no_failure_follows() -> None:
    frequent = error(30, every_s=10)
    assert find(frequent, {}, frequent.last_at + 5 * MINUTE_US) is not None
    assert find(frequent, {}, frequent.last_at + 5 * MINUTE_US + 200 * SECOND) is None
    rare = error(6, every_s=500)
    assert find(rare, {}, rare.last_at + 6 * MINUTE_US) is not None


def test_more_failures_than_are_looked_at() -> None:
    finding = find(error(MOST, every_s=1, hours=(0,) * 22 + (700, 473)), {}, T)
    assert finding is not None
    assert finding.text.startswith("new, over 1,173 failures in the last hour")


def test_groups_without_an_exception_are_left_to_other_rules() -> None:
    for word in ("child_killed", "unknown_task", "lost"):
        assert find(error(error_type=word), {}, T) is None


def test_the_scope_is_what_its_names_have_in_common() -> None:
    names = {SUBJECT: 3, (Scope("shop", "staging", "celery"), "emails.other"): 9}
    finding = find(error(names=names), {}, T)
    assert finding is not None
    assert (finding.title, finding.scope) == ("ConnectionError in emails.other and 1 more name", Scope("shop", "", "celery"))
    nowhere = find(error(names={}), {}, T)
    assert nowhere is not None
    assert (nowhere.title, nowhere.scope) == ("ConnectionError in shop", Scope("shop"))


def test_a_name_whose_failures_are_this_group_is_explained() -> None:
    key = key_of("failing_more", *SUBJECT)
    few, many = name(Counts(10, 10, 1)), name(Counts(10, 10, 2))  # 15 and 30 failures in the last hour
    for activity, explains in ((few, (key,)), (many, ())):
        finding = find(error(), {SUBJECT: activity}, T)
        assert finding is not None
        assert finding.explains == explains
    assert find(error(first_at=T - HOUR_US), {}, T) is not None
