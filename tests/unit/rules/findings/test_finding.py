# SPDX-License-Identifier: AGPL-3.0-or-later
"""The shape of findings: identity, order, links."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.rules.findings.examples import SHOP
from z4j.rules.findings.finding import (
    LEVELS,
    Finding,
    Link,
    Scope,
    name_href,
    plan_href,
    queue_href,
    ranked,
    tasks_href,
    worker_href,
    workers_href,
)

ONE = Finding("slow", "a|b", "warn", 10, "a is slow", "p95", "usually", SHOP)


def test_a_finding_is_the_same_whatever_its_numbers() -> None:
    assert ONE.key == "slow|shop|production|celery|a|b"
    assert replace(ONE, weight=99, text="other", since=7).key == ONE.key
    assert replace(ONE, scope=Scope()).key != ONE.key


def test_what_hurts_most_comes_first() -> None:
    blind, bad = replace(ONE, level="blind", kind="blind"), replace(ONE, level="bad", weight=1, kind="bad")
    heavy = replace(ONE, weight=5_000, kind="heavy")
    assert ranked([ONE, blind, heavy, bad]) == [bad, heavy, blind, ONE]


def test_scopes() -> None:
    assert Scope().holds(SHOP)
    assert Scope("shop").holds(SHOP)
    assert not Scope("other").holds(SHOP)
    assert Scope("shop").holds(Scope()), "what is about the whole appliance is shown everywhere"


def test_links_are_quoted() -> None:
    assert tasks_href(SHOP, name="a b&c", state=("failed", "lost")) == (
        "/tasks?app=shop&environment=production&engine=celery&name=a+b%26c&state=failed,lost"
    )
    assert queue_href(Scope(), "a/b") == "/queues/a%2Fb"
    assert queue_href(SHOP, "q", place="dead").endswith("engine=celery&place=dead")
    assert plan_href(Scope("shop"), name="") == "/plans/new?app=shop"


def test_ranks_and_defaults() -> None:
    ranks = {level: replace(ONE, level=level, weight=0).rank for level in LEVELS}
    assert ranks == {"bad": 2000, "blind": 1500, "warn": 1000}
    assert [replace(ONE, weight=weight).rank for weight in (-5, 0, 998, 999, 1_000)] == [1000, 1000, 1998, 1999, 1999]
    assert (ONE.curve_of, Link("text", "/href").needs) == ("", "viewer")


def test_urls_of_pages() -> None:
    assert name_href(SHOP, "a/b") == "/names/a%2Fb?app=shop&environment=production&engine=celery"
    assert workers_href(Scope("shop")) == "/workers?app=shop"
    assert worker_href(SHOP, "w/1") == "/workers/w%2F1?app=shop&environment=production"
    assert queue_href(Scope("a"), "q") == "/queues/q?app=a", "no section is no parameter"
