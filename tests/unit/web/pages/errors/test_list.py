# SPDX-License-Identifier: AGPL-3.0-or-later
"""The list of errors: rows with their curve, filters, exports, hostile texts."""

from __future__ import annotations

from typing import Any

from tests.support.database import SECOND, T, task
from tests.support.site import text_of
from tests.unit.web.pages.conftest import EVIL, Shop
from z4j.web.pages.errors.list import distinct, share_text


def fail(shop: Shop, id: str, error: str, message: str = "no", at: int = T, kind: str = "failed", **head: Any) -> None:
    told = ["", error, message, ""]
    shop.tell(task(kind, id, at, *([at, at, 9] if kind == "failed" else [at, 9, None]), *told, **head))


def test_an_error_is_listed_with_its_numbers(shop: Shop) -> None:
    page = shop.get("/errors")
    assert page.status_code == 200
    assert "ValueError" in text_of(page)
    assert 'href="/errors/1"' in page.text
    assert "60%" in text_of(page) or "75%" in text_of(page)  # three of the stored tasks of shop.ship
    [row] = shop.get("/errors.json").json()["errors"]
    assert (row["title"], row["failed"], row["state"], row["app"]) == ("ValueError: bad", 3, "unresolved", "shop")
    assert shop.get("/errors.csv").text.count("\r\n") == 2


def test_filters_tabs_and_pages(shop: Shop) -> None:
    fail(shop, "m", "OSError", name="mail.send", queue="mail", at=T + SECOND)
    shop.post("/errors/1/act", action="resolve")

    def titles(query: str = "") -> list[str]:
        return [row["error_type"] for row in shop.get(f"/errors.json{query}").json()["errors"]]

    assert titles() == ["OSError"]
    assert titles("?state=resolved") == ["ValueError"]
    assert set(titles("?state=resolved,unresolved")) == {"OSError", "ValueError"}
    assert titles("?name=mail.send&queue=mail&engine=celery&environment=production&app=shop") == ["OSError"]
    assert titles("?name=other") == []
    assert "mail.send" in text_of(shop.get("/errors?name=mail.send"))
    assert shop.get("/errors?state=odd").status_code == 400
    assert shop.get("/errors?after=odd").status_code == 400
    assert titles("?after=1-1") == []
    assert "No matching errors" in text_of(shop.get("/errors?name=other"))


def test_texts_of_the_application_are_escaped(shop: Shop) -> None:
    fail(shop, "e", f"Bad{EVIL}", EVIL, name=EVIL, queue=EVIL)
    shop.post("/errors/2/act", action="note", note=EVIL, runbook="https://wiki.example/?a=<b>&c")
    for path in ("/errors", "/errors/2"):
        page = shop.get(path)
        assert page.status_code == 200
        assert "<b onclick" not in page.text
    assert EVIL in text_of(shop.get("/errors/2"))


def test_without_errors_the_page_says_so(empty: Shop) -> None:
    assert "No open errors" in text_of(empty.get("/errors"))
    assert empty.get("/errors.json").json() == {"errors": [], "after": None}


def test_a_viewer_sees_no_actions(shop: Shop) -> None:
    shop.become("vera")
    for path in ("/errors", "/errors/1"):
        page = shop.get(path)
        assert page.status_code == 200
        assert "/act" not in page.text


def test_share_and_distinct() -> None:
    assert [share_text(*pair) for pair in ((0, 5), (1, 0), (1, 1_000), (1, 3), (5, 5), (6, 5))] == ["", "", "<1%", "33%", "100%", "100%"]
    assert distinct(["a", "", "b", "a"]) == ("a", "b")
