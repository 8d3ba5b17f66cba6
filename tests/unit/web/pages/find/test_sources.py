# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every kind of thing is found, by its own source."""

from __future__ import annotations

from tests.support.site import text_of
from tests.unit.web.pages.conftest import EVIL, Shop
from z4j.rules.findings.finding import Finding
from z4j.rules.queries.search_ranking import KINDS
from z4j.web.pages.find.sources import LEAST_ID, SOURCES


def results(shop: Shop, query: str) -> list[tuple[str, str, str]]:
    """(kind, text, href) of what is found."""
    answer = shop.client.get("/find/results", params={"q": query})
    assert answer.status_code == 200
    return [(each["kind"], each["text"], each["href"]) for each in answer.json()["results"]]


def test_each_kind_is_found(shop: Shop) -> None:
    shop.write(lambda db: db.execute("UPDATE error_group SET title = 'ValueError in ship'").rowcount)
    shop.post("/tasks/views", query="state=failed", name="Failed shipping", shared="yes")
    shop.server.findings.current = (Finding("slow", "shop.ship", "warn", 1, "shop.ship is slow", "p95 48 s", ""),)
    found = {kind: (text, href) for kind, text, href in reversed(results(shop, "ship"))}
    assert found["name"] == ("shop.ship", "/names/shop.ship")
    assert found["error"] == ("ValueError in ship", "/errors/1")
    assert found["finding"] == ("shop.ship is slow", "/")
    assert found["view"] == ("Failed shipping", "/tasks?state=failed")
    assert ("queue", "work", "/queues/work?app=shop&environment=production&engine=celery") in results(shop, "wor")
    assert ("worker", "w1", "/workers/w1?app=shop&environment=production") in results(shop, "w1")
    assert ("page", "Workers", "/workers") in results(shop, "wor")
    assert ("release", "1.0", "/releases/1.0") in results(shop, "1.0")
    assert {kind for kind, _, _ in results(shop, "e")} <= set(KINDS)
    assert {"page", "action"} | SOURCES.keys() - {"destination"} == set(KINDS)


def test_a_task_is_found_by_the_beginning_of_its_id(shop: Shop) -> None:
    assert ("task", "waits", "/tasks/5") in results(shop, "wait")
    assert ("task", "waits", "/tasks/5") in results(shop, "waits")
    assert all(kind != "task" for kind, _, _ in results(shop, "waits"[: LEAST_ID - 1]))


def test_an_action_leads_to_the_page_with_its_form(shop: Shop) -> None:
    assert results(shop, "pause wor")[0] == ("action", "Pause queue work…", "/queues/work?app=shop&environment=production&engine=celery")
    assert results(shop, "run shop")[0] == ("action", "Run name shop.ship…", "/tasks/run?q=shop.ship")
    shop.become("vera")
    assert all(kind != "action" for kind, _, _ in results(shop, "pause wor"))


def test_views_of_others_are_found_only_where_they_are_shared(shop: Shop) -> None:
    shop.post("/tasks/views", query="state=failed", name="secret plan")
    assert [each for each in results(shop, "secret") if each[0] == "view"]
    shop.become("olga")
    assert [each for each in results(shop, "secret") if each[0] != "document"] == []


def test_hostile_names_and_long_queries_are_harmless(shop: Shop) -> None:
    assert any(text == EVIL for _, text, _ in results(shop, EVIL))
    page = shop.client.get("/find", params={"q": EVIL}, headers={"Accept": "text/html"})
    assert EVIL not in page.text
    assert EVIL in text_of(page)
    for query in ("x" * 5_000, "\0", "%", "'; DROP TABLE task", "0" * 36):
        results(shop, query)
