# SPDX-License-Identifier: AGPL-3.0-or-later
"""One error: its tracebacks, tasks, shares and history."""

from __future__ import annotations

import html
import re

from tests.support.database import SECOND, T, task
from tests.support.site import text_of
from tests.unit.web.pages.conftest import Shop
from z4j import clock
from z4j.agents.ingest import ingest_batch
from z4j.formats import iso
from z4j_agent import wire

TRACE = 'Traceback (most recent call last):\n  File "/srv/shop/pay.py", line {}, in charge\n    go({})\nPayError: order {}\n'


def charge(shop: Shop, id: str, at: int, line: int, kind: str = "failed", attempt: int = 0) -> None:
    told = ["", "PayError", f"order {line}", TRACE.format(line, line, line)]
    times = [at, at, 9] if kind == "failed" else [at, 9, None]
    shop.tell(
        task("enqueued", id, at, None, {"code": "shop.web:12", "route": "POST /orders"}),
        task(kind, id, at + SECOND, *times, *told, attempt=attempt),
    )


def test_the_page_shows_what_somebody_needs_to_know(shop: Shop) -> None:
    charge(shop, "p1", T, 4711)
    charge(shop, "p2", T + 60 * SECOND, 17)
    charge(shop, "p3", T + 70 * SECOND, 18, "retried")
    shop.tell(task("succeeded", "p3", T + 90 * SECOND, T, T, 9, "1", attempt=1))
    page = shop.get("/errors/2")
    text = text_of(page)
    for word in ("PayError: order", "shop.pay.charge", "go(17)", "shop.web:12", "POST /orders", "1.0", "w1", "production", "work"):
        assert word in text, word
    assert page.text.count('data-row="') == 3
    assert "File &#34;/srv/shop/pay.py&#34;, line 17" in page.text
    row = shop.get("/errors/2.json").json()
    assert (row["error"]["failed"], row["error"]["retried"], row["error"]["cured"]) == (2, 0, 1)
    assert len(row["tasks"]) == 2
    assert row["places"][0]["name"] == "shop.ship"
    assert "name_id" not in row["places"][0]


def test_a_refresh_is_the_part_that_changes(shop: Shop) -> None:
    page = shop.get("/errors/1", **{"HX-Request": "true"})
    assert "<html" not in page.text
    assert 'id="error"' in page.text


def test_an_unknown_error_is_not_found(shop: Shop) -> None:
    for path in ("/errors/99", "/errors/99.json"):
        assert shop.get(path).status_code == 404


def test_a_task_leads_to_its_error_and_the_hours_to_their_tasks(shop: Shop) -> None:
    for task_row in (1, 2, 3):
        assert 'href="/errors/1"' in shop.get(f"/tasks/{task_row}").text
    assert 'href="/errors/' not in shop.get("/tasks/4").text.replace('href="/errors"', "")
    at = clock.now() - 5 * SECOND
    failed = task("failed", "now", at, at, at, 9, "", "PayError", "no", TRACE.format(1, 1, 1))
    shop.call(ingest_batch, shop.server.store, 1, wire.encode_record(failed), at=at)
    page = shop.get("/errors/2")
    links = re.findall(r'href="(/tasks\?state=failed,lost,rejected&amp;since[^"]*error_group=2)"', page.text)
    [href] = {link for link in links if iso(at)[:13].replace(":", "%3A") in html.unescape(link).partition("until")[0]}
    listed = shop.get(html.unescape(href).replace("/tasks", "/tasks.json")).json()["tasks"]
    assert [row["task_id"] for row in listed] == ["now"]


def test_an_error_whose_tasks_are_gone_is_still_shown(shop: Shop) -> None:
    shop.write(lambda db: db.execute("DELETE FROM error_task").rowcount)
    assert "No tasks stored" in text_of(shop.get("/errors/1"))


def test_all_tasks_of_an_error_are_found_by_its_pages(shop: Shop) -> None:
    shop.tell(*(task("failed", f"p{n}", T + n // 2, T, T, 9, "", "PayError", "no", "") for n in range(45)))
    path, seen = "/errors/2", list[str]()
    while path:
        page = shop.get(path)
        assert page.status_code == 200
        seen += re.findall(r'data-task="(p\d+)"', page.text)
        older = re.search(r'href="(/errors/2\?before=[^"#]*)#tasks" rel="next"', page.text)
        path = html.unescape(older[1]) if older else ""
    assert sorted(seen) == sorted(f"p{n}" for n in range(45))
    assert shop.get("/errors/2?before=odd").status_code == 400


def test_the_numbers_lead_to_exactly_the_tasks_of_the_error(shop: Shop) -> None:
    charge(shop, "p1", T, 4711)
    charge(shop, "p3", T + 70 * SECOND, 18, "retried")
    shop.tell(task("succeeded", "p3", T + 90 * SECOND, T, T, 9, "1", attempt=1))

    def listed(path: str) -> list[str]:
        return [row["task_id"] for row in shop.get(html.unescape(path).replace("/tasks", "/tasks.json", 1)).json()["tasks"]]

    page = shop.get("/errors/2").text
    links = set(re.findall(r'href="(/tasks\?[^"]*error_group=2)"', page))
    assert "/tasks?error_group=2" in links
    assert listed("/tasks?error_group=2") == ["p3", "p1"]
    assert listed("/tasks?state=failed,lost,rejected&amp;error_group=2") == ["p1"]
    assert listed("/tasks?state=succeeded&amp;error_group=2") == ["p3"]
    assert {"/tasks?state=failed,lost,rejected&amp;error_group=2", "/tasks?state=succeeded&amp;error_group=2"} <= links
    assert shop.get("/tasks?q=error_group:2").headers["location"] == "/tasks?error_group=2"
    tasks = text_of(shop.get("/tasks?state=failed,lost,rejected"))
    assert "PayError" in tasks
