# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every document is a page whose links lead somewhere, and is found by its words."""

from __future__ import annotations

import re

import pytest

from tests.support.site import text_of
from tests.unit.web.pages.conftest import Shop
from z4j import resources
from z4j.web.pages.documents import html_of, library


def test_the_list_leads_to_every_document(empty: Shop) -> None:
    page = empty.get("/docs")
    for name in resources.documents():
        assert f'href="/docs/{name}"' in page.text


def test_every_document_is_a_page_without_styles_and_with_links_that_lead_somewhere(empty: Shop) -> None:
    ids = {name: set(re.findall(r'id="([^"]+)"', html_of(name))) for name in library()}
    for name, document in library().items():
        assert empty.get(f"/docs/{name}").status_code == 200
        assert 'style="' not in html_of(name)
        assert "SPDX" not in html_of(name)
        for target, anchor in re.findall(r'href="(?:/docs/(\w+))?#([^"]+)"', html_of(name)):
            assert anchor in ids[target or name], f"{name} leads to {target}#{anchor}"
        assert {section.anchor for section in document.sections if section.anchor} <= ids[name]


def test_documents_are_searched_and_read_as_markdown(empty: Shop) -> None:
    assert "pinned" in text_of(empty.get("/docs?q=tls+pinned")) or "pin" in text_of(empty.get("/docs?q=tls+pin"))
    assert "No section contains all of these words" in text_of(empty.get("/docs?q=zebraword"))
    assert empty.get("/docs/operate.md").text.startswith("# ")
    assert empty.get("/docs/none").status_code == 404
    page = empty.get('/docs?q="><script>alert(1)</script>')
    assert "<script>alert" not in page.text


def test_a_document_is_found_in_find(empty: Shop) -> None:
    assert "/docs/" in empty.get("/find?q=quiet+hours").text or "/docs/alerts" in empty.get("/find?q=alerts").text


@pytest.mark.parametrize("name", ["start", "connect", "troubleshooting", "compare", "operate", "settings", "security", "protocol"])
def test_what_somebody_looks_for_is_there(name: str) -> None:
    assert name in library()
