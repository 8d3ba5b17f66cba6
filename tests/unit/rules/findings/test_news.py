# SPDX-License-Identifier: AGPL-3.0-or-later
"""News: for whom they are, which are unread, and where a finding that is over leads."""

from __future__ import annotations

import pytest

from z4j.rules.findings.finding import Scope
from z4j.rules.findings.news import BEGAN, COMMAND, ENDED, ERROR, PLAN, RELEASE, SCHEDULE, News, finding_href, in_order, summary, unread


def news(at: int, kind: str = BEGAN, **more: str) -> News:
    return News(at, kind, "title", "", "/", "failed", **more)


def test_what_concerns_one_person_is_for_nobody_else_and_nobody_reads_what_they_did() -> None:
    assert news(1, COMMAND, mine="ada").is_for("ada")
    assert not news(1, COMMAND, mine="ada").is_for("olga")
    assert not news(1, SCHEDULE, by="ada").is_for("ada")
    assert news(1, SCHEDULE, by="ada").is_for("olga")
    assert news(1).is_for("ada")


def test_unread_are_those_after_the_mark() -> None:
    every = in_order([news(1), news(5), news(3), news(4, COMMAND, mine="olga")])
    assert [each.at for each in every] == [5, 4, 3, 1]
    assert [each.at for each in unread(every, "ada", 1)] == [5, 3]
    assert unread(every, "ada", 5) == []


def test_the_summary_counts_each_kind() -> None:
    assert summary([news(1), news(2), news(3, ENDED), news(4, COMMAND)]) == "2 findings began, 1 ended, 1 of your actions failed"
    assert summary([]) == ""


@pytest.mark.parametrize(
    ("kind", "subject", "href"),
    [
        ("error", "7", "/errors/7"),
        ("slow", "shop.ship", "/names/shop.ship?app=shop&environment=production&engine=celery"),
        ("backlog", "work", "/queues/work?app=shop&environment=production&engine=celery"),
        ("late_schedule", "celery-beat nightly", "/schedules?app=shop&environment=production"),
        ("stopped_plan", "3", "/plans/3"),
        ("audit_alarm", "audit log", "/changes"),
        ("disk", "disk", "/settings/appliance"),
        ("silent_host", "host-7", "/workers?app=shop&environment=production&engine=celery"),
    ],
)
def test_a_finding_that_is_over_leads_to_its_subject(kind: str, subject: str, href: str) -> None:
    assert finding_href(kind, Scope("shop", "production", "celery"), subject) == href
    assert finding_href("late_schedule", Scope(), "x") == "/schedules"


def test_kinds_are_those_that_urls_and_pages_have() -> None:
    assert (BEGAN, ENDED, PLAN, COMMAND, ERROR, SCHEDULE, RELEASE) == ("began", "ended", "plan", "command", "error", "schedule", "release")
    assert news(1).mine == news(1).by == ""
    kinds = (BEGAN, ENDED, PLAN, COMMAND, ERROR, SCHEDULE, RELEASE)
    assert [summary([news(1, kind)]) for kind in kinds] == [
        "1 finding began", "1 ended", "1 plan finished", "1 of your actions failed", "1 error regressed", "1 schedule was changed",
        "1 new release",
    ]  # fmt: skip
    assert [summary([news(1, kind), news(2, kind)]) for kind in kinds] == [
        "2 findings began", "2 ended", "2 plans finished", "2 of your actions failed", "2 errors regressed", "2 schedules were changed",
        "2 new releases",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kinds", "start"),
    [
        ("slow quick seldom retries failing_more stuck killed unregistered", "/names/x"),
        ("backlog unserved_queue broker_loss unaccounted dead_letters different_workers", "/queues/x"),
        ("disk certificate retention backup duty", "/settings/appliance"), ("stopped_plan stalled_plan", "/plans/x"),
        ("restarts clock", "/workers"),
    ],
)  # fmt: skip
def test_each_kind_leads_to_its_page(kinds: str, start: str) -> None:
    assert all(finding_href(kind, Scope(), "x") == start for kind in kinds.split())
    assert finding_href("late_schedule", Scope("shop"), "x") == "/schedules?app=shop"
