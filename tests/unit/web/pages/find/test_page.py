# SPDX-License-Identifier: AGPL-3.0-or-later
"""Find as a page: the same results as links, without a script; and no row of the audit log for each letter typed."""

from __future__ import annotations

from tests.support.site import text_of
from tests.unit.web.pages.conftest import Shop


def test_the_page_shows_what_the_palette_shows(shop: Shop) -> None:
    page = shop.get("/find?q=ship")
    found = shop.get("/find/results?q=ship").json()["results"]
    assert found
    assert all(f'href="{each["href"]}"' in page.text for each in found)
    assert "Nothing found" in text_of(shop.get("/find?q=zzzzzz"))


def test_an_empty_field_lists_pages_and_actions(shop: Shop) -> None:
    kinds = {each["kind"] for each in shop.get("/find/results").json()["results"]}
    assert kinds == {"page", "action"}
    assert "Tasks" in text_of(shop.get("/find"))


def test_typing_is_not_an_export(shop: Shop) -> None:
    before = len(shop.audit())
    for query in ("s", "sh", "shi"):
        shop.get(f"/find/results?q={query}")
    assert len(shop.audit()) == before
