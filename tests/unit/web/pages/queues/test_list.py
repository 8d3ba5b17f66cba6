# SPDX-License-Identifier: AGPL-3.0-or-later
"""The list of queues: numbers that lead to the tasks behind them, and what is marked."""

from __future__ import annotations

import html

from tests.support.database import T, task
from tests.support.site import text_of
from tests.unit.web.pages.conftest import EVIL, Shop
from z4j.formats import MINUTE
from z4j.store.fleet.queues import QueueRow, list_queues
from z4j.web.pages.queues.list import STALE, line


def row_of(shop: Shop, name: str = "work") -> QueueRow:
    rows: list[QueueRow] = shop.call(list_queues, shop.server.store)
    return next(row for row in rows if row.name == name)


def test_a_queue_is_listed_with_its_numbers_and_links(shop: Shop) -> None:
    [row] = shop.get("/queues.json").json()["queues"]
    assert (row["name"], row["app"], row["engine"], row["environment"], row["depth"]) == ("work", "shop", "celery", "production", 3)
    assert (row["waiting"], row["failed"]) == (1, 3)
    page = shop.get("/queues")
    for href in (line(row_of(shop), T).failed_href, line(row_of(shop), T).waiting_href, line(row_of(shop), T).page_href):
        assert f'href="{html.escape(href)}"' in page.text
    listed = shop.get(line(row_of(shop), T).failed_href.replace("/tasks", "/tasks.json")).json()["tasks"]
    assert len(listed) == 3
    assert shop.get("/queues.csv").text.count("\r\n") == 2


def test_names_are_escaped_and_lead_to_their_own_page(shop: Shop) -> None:
    evil = f"a/b?{EVIL}"
    shop.tell(task("enqueued", "x", T, queue=evil))
    page = shop.get("/queues")
    assert evil in text_of(page)
    assert EVIL not in page.text
    found = shop.get(line(row_of(shop, evil), T).page_href)
    assert found.status_code == 200
    assert evil in text_of(found)


def test_without_queues_the_page_says_so_and_a_bad_place_is_refused(empty: Shop) -> None:
    assert empty.get("/queues").status_code == 200
    assert empty.get("/queues.json").json() == {"queues": [], "after": None}
    for path in ("/queues", "/queues.json"):
        assert empty.get(f"{path}?after={EVIL}").status_code == 400


def test_another_scope_shows_other_queues(shop: Shop) -> None:
    assert shop.get("/queues.json?app=shop&environment=production").json()["queues"]
    for query in ("app=other", "environment=staging", "engine=rq"):
        assert shop.get(f"/queues.json?{query}").json()["queues"] == []
        assert 'href="/queues/work' not in shop.get(f"/queues?{query}").text


def test_old_numbers_and_queues_without_a_consumer_are_marked(shop: Shop) -> None:
    row = row_of(shop)
    assert row.seen_at is not None
    assert not line(row, row.seen_at + STALE).is_stale
    assert line(row, row.seen_at + STALE + 1).is_stale
    assert STALE == 5 * MINUTE
    assert line(row, T).is_unserved == (row.consumers == 0)
    assert not line(row, T).is_paused
    assert line(row, T, is_paused=True).is_paused
