# SPDX-License-Identifier: AGPL-3.0-or-later
"""The record of an incident as files: one that loads nothing, Markdown and JSON; hostile texts and secrets."""

from __future__ import annotations

import re

from tests.support.site import text_of
from tests.unit.web.pages.conftest import EVIL, Shop
from tests.unit.web.pages.incidents.test_detail import begun


def test_every_form_of_the_record_has_the_same_and_nothing_hostile(shop: Shop) -> None:
    path = begun(shop)
    for suffix in ("", ".html", ".md", ".json"):
        page = shop.get(path + suffix)
        assert page.status_code == 200, suffix
        assert "ghp_aaaa" not in page.text
        if suffix not in (".json", ".md"):
            assert "<b onclick" not in page.text
            assert EVIL in text_of(page)


def test_the_file_loads_nothing_and_has_no_script(shop: Shop) -> None:
    page = shop.get(begun(shop) + ".html")
    assert page.headers["content-disposition"].startswith('attachment; filename="mails-')
    assert "<script" not in page.text
    assert not re.search(r'(?:src|href)="(?!#)', page.text)
    assert "url(" not in page.text
    assert "default-src 'none'" in page.text
