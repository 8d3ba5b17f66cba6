# SPDX-License-Identifier: AGPL-3.0-or-later
"""The options of the query box: fields, and values with their counts under the other conditions."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import quote

from tests.unit.web.pages.conftest import Shop


def options(shop: Shop, text: str) -> list[tuple[str, str]]:
    page = shop.get(f"/tasks/complete?q={quote(text)}").text
    return [(unescape(value), unescape(label)) for value, label in re.findall(r'<option value="([^"]*)" label="([^"]*)">', page)]


def test_fields_and_values_are_offered(shop: Shop) -> None:
    assert ("queue:", "queue") in options(shop, "")
    assert options(shop, "state:f") == [("state:failed", "3 tasks")]
    assert options(shop, "state:failed name:sh")[0] == ("state:failed name:shop.ship", "3 tasks")
    assert options(shop, "state:lost name:sh") == []
    assert options(shop, "wrong:x name:shop.s") != [], "what cannot be understood does not narrow"
    assert options(shop, "worker:w") == [("worker:w1", "")]
    assert options(shop, "since:") == [(f"since:{span}", "") for span in ("15m", "1h", "24h", "7d")]
    assert options(shop, "error:V") == []
    assert options(shop, '"open') == []
    assert options(shop, "error_group:") == options(shop, "error_group:bad") == [("error_group:1", "ValueError: bad")]
    assert options(shop, "error_group:odd") == []


def test_the_page_has_the_first_ones_without_a_script(shop: Shop) -> None:
    page = shop.get("/tasks?state=failed").text
    assert '<datalist id="completions">' in page
    assert '<option value="state:failed queue:" label="queue">' in page
