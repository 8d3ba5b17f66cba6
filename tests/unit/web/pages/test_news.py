# SPDX-License-Identifier: AGPL-3.0-or-later
"""The page of news: what is new since the mark, how the mark moves, and the number in the top bar."""

from __future__ import annotations

import re

from tests.support.database import SECOND
from tests.support.site import text_of
from tests.unit.web.pages.conftest import EVIL, Shop
from z4j import clock
from z4j.operations.findings.news import KEPT_US
from z4j.rules.findings.finding import Finding
from z4j.store.findings import findings
from z4j.web.pages.news import SAME_VISIT_US

FULL = Finding("disk", "disk", "bad", 1, f"The disk is full {EVIL}", "0 bytes left", "")


def begin(shop: Shop, ago: int = 0) -> None:
    """A finding begins, and the next page reads the news again."""
    at = clock.now() - ago
    shop.write(lambda db: findings.save(db, [FULL], [], [], at))
    shop.server.news._until -= KEPT_US


def bell(shop: Shop) -> str:
    """The number in the top bar; "" for none."""
    found = re.search(r'class="chip bell".*?</svg>(?:<b>(.*?)</b>)?', shop.get("/queues").text, re.DOTALL)
    assert found is not None
    return found[1] or ""


def test_the_bell_counts_what_was_not_read_and_opening_the_page_reads_it(shop: Shop) -> None:
    assert bell(shop) == ""
    begin(shop)
    assert bell(shop) == "1"
    assert "1 unread" in shop.get("/news/bell").text
    assert "Since your last visit" in text_of(shop.get("/"))
    page = shop.get("/news")
    assert "1 finding began" in text_of(page)
    assert EVIL not in page.text
    assert EVIL in text_of(page)
    assert bell(shop) == ""
    assert "Since your last visit" not in text_of(shop.get("/"))


def test_the_page_opened_again_still_shows_what_was_new(shop: Shop) -> None:
    begin(shop)
    shop.get("/news")
    assert "1 finding began" in text_of(shop.get("/news"))
    shop.write(lambda db: db.execute("UPDATE user SET news_at = news_at - ?", (SAME_VISIT_US + SECOND,)).rowcount)
    begin_at = clock.now() - SAME_VISIT_US - 60 * SECOND
    shop.write(lambda db: db.execute("UPDATE finding SET began_at = ?", (begin_at,)).rowcount)
    shop.server.news._until -= KEPT_US
    text = text_of(shop.get("/news"))
    assert "nothing changed" in text
    assert "Earlier" in text


def test_each_person_has_a_mark_and_can_set_it_back(shop: Shop) -> None:
    begin(shop, ago=30 * SECOND)
    shop.write(lambda db: db.execute("UPDATE user SET created_at = created_at - ?", (3_600 * SECOND,)).rowcount)
    shop.get("/news")
    assert bell(shop) == ""
    assert shop.post("/news/mark", to="1h").headers["location"] == "/"
    assert bell(shop) == "1"
    assert shop.audit()[-1][:3] == ("ada", "set_news_mark", "user:ada")
    assert shop.post("/news/mark", to="never").status_code == 400
    shop.become("vera")
    assert bell(shop) == "1"


def test_a_head_request_and_a_token_move_no_mark(shop: Shop) -> None:
    begin(shop)
    shop.client.head("/news")
    assert bell(shop) == "1"
