# SPDX-License-Identifier: AGPL-3.0-or-later
"""The page Now: findings with what to press, what is not known, what was muted, and the chart."""

from __future__ import annotations

import html
import re
from urllib.parse import urlsplit

import pytest

from tests.support.database import SECOND, T, life, origin
from tests.support.site import text_of
from tests.unit.rules.findings import every
from tests.unit.web.pages.conftest import EVIL, Shop
from z4j import clock
from z4j.rules.findings.finding import Finding, Link, Scope
from z4j.rules.permissions import is_allowed
from z4j.web.pages.now import SPANS, STALE_US

FOUND = Finding(
    "failing_more", "shop.ship", "bad", 10, "shop.ship fails more than usual", "5 of 9 runs failed", f"usually none {EVIL}",
    Scope("shop", "production", "celery"), T - 60 * SECOND, Link("Review 5 and retry…", "/plans/new?name=shop.ship"),
    (Link("failed tasks", "/tasks?state=failed"),), (0.0, None, 5.0), "failures per minute",
)  # fmt: skip


def put(shop: Shop, *findings: Finding, ago: int = 0) -> None:
    """Makes these the findings, as they were found some time ago."""
    kept = shop.server.findings
    kept.current, kept.checked_at, kept.checked = findings, clock.now() - ago, (3, 2)


def test_a_finding_has_its_sentence_its_evidence_and_one_action(shop: Shop) -> None:
    put(shop, FOUND)
    page = shop.get("/")
    text = text_of(page)
    assert "shop.ship fails more than usual: 5 of 9 runs failed" in re.sub(r"\s+", " ", text).replace(" :", ":")
    assert "1 critical" in text
    assert EVIL not in page.text
    assert EVIL in text
    for href in ("/plans/new?name=shop.ship", "/tasks?state=failed"):
        assert f'href="{html.escape(href)}"' in page.text
    assert "3 task names, 2 queues and 0 processes checked" in text
    assert shop.get("/now.json").json()["findings"][0]["key"] == FOUND.key


def test_all_is_well_only_when_it_was_checked(shop: Shop) -> None:
    put(shop)
    assert "No findings" in text_of(shop.get("/"))
    put(shop, ago=STALE_US + SECOND)
    text = text_of(shop.get("/"))
    assert "No findings" not in text
    assert "Unknown" in text
    put(shop, FOUND, ago=STALE_US + SECOND)
    assert "These findings are out of date" in text_of(shop.get("/"))


def test_filters_of_every_page_hold(shop: Shop) -> None:
    put(shop, FOUND)
    assert "fails more" in text_of(shop.get("/?app=shop"))
    assert "fails more" not in text_of(shop.get("/?app=other"))
    assert shop.get("/now.json?engine=rq").json()["findings"] == []


def test_an_operator_mutes_and_unmutes(shop: Shop) -> None:
    put(shop, FOUND)
    assert shop.post("/findings/mute", key=FOUND.key, reason="known", back="/").status_code == 303
    assert "muted. It is listed below" in text_of(shop.get("/"))
    assert shop.server.findings.current == ()
    assert "Muted" in text_of(shop.get("/"))
    assert "Review 5" not in text_of(shop.get("/"))
    shop.post("/findings/unmute", key=FOUND.key, back="/")
    assert shop.get("/now.json").json()["findings"][0]["key"] == FOUND.key
    shop.post("/findings/mute", key="unknown", back="/")
    assert "No changes were made" in text_of(shop.get("/"))
    assert shop.post("/findings/unmute", key="x|y").status_code == 400
    actions = [row["action"] for row in shop.get("/changes/audit.json").json()["audit"]]
    assert [action for action in actions if "mute" in action] == ["unmute_finding", "mute_finding"]


def test_a_secret_in_the_reason_of_a_mute_is_masked(shop: Shop) -> None:
    put(shop, FOUND)
    shop.post("/findings/mute", key=FOUND.key, reason="relay password=hunter22-canary", back="/")
    shop.become("vera")
    page = shop.get("/").text
    assert "relay password=•••" in page
    assert "hunter22-canary" not in page


@pytest.mark.parametrize("span", SPANS)
def test_the_chart_counts_what_ended(shop: Shop, span: str) -> None:
    shop.tell(origin("n"), *life("now-1", T - 5 * SECOND, run="n.7"), *life("now-2", T - 5 * SECOND, "failed", run="n.7"))
    put(shop)
    page = shop.get(f"/?range={span}")
    assert page.status_code == 200
    assert 'aria-current="true">' + SPANS[span].word in page.text
    assert "Finished and failed tasks per minute" in page.text
    links = [html.unescape(href) for href in re.findall(r'href="(/tasks\?[^"]*since=[^"]*)"', page.text)]
    assert links
    assert shop.get(links[-1]).status_code == 200


def test_an_empty_server_leads_to_connect(empty: Shop) -> None:
    put(empty)
    page = empty.get("/")
    assert "No queues" in text_of(page)
    assert 'href="/connect"' in page.text
    assert empty.get("/?range=nonsense").status_code == 200


def test_the_page_and_the_api_say_what_a_viewer_lacks(shop: Shop) -> None:
    shop.server.findings.current = tuple({each.kind: each for each in every.each()}.values())
    admin = shop.get("/now.json").json()["findings"]
    assert {each["action"]["needs"] for each in admin} == {""}
    assert set(admin[0]["action"]) == {"text", "href", "needs"}
    assert all(set(link) == {"text", "href", "needs"} for each in admin for link in each["evidence"])
    shop.become("vera")
    found = {each["kind"]: each for each in shop.get("/now.json").json()["findings"]}
    assert (found["failing_more"]["action"]["needs"], found["disk"]["action"]["needs"]) == ("operator", "auditor")
    assert shop.get("/api/v1/findings").json() == shop.get("/now.json").json()
    page = shop.get("/")
    assert "requires the role operator" in text_of(page)
    hrefs = re.findall(r'<a class="btn[^"]*" href="([^"]+)"', page.text)
    assert len(hrefs) >= 20
    for href in hrefs:
        needed = shop.server.asgi.state.services.role_of("GET", urlsplit(href).path)
        assert needed is not None
        assert is_allowed("viewer", needed), href
