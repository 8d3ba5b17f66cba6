# SPDX-License-Identifier: AGPL-3.0-or-later
"""The list of task names."""

from __future__ import annotations

import pytest

from tests.support.database import SECOND, T
from tests.support.site import text_of
from tests.unit.web.pages.conftest import EVIL, Shop
from z4j import clock
from z4j.rules.history.ranges import SPANS


@pytest.mark.parametrize("key", SPANS)
def test_names_lead_to_their_pages_and_tasks(shop: Shop, key: str) -> None:
    clock.use(lambda: (T + 600 * SECOND) * 1_000)
    page = shop.get(f"/names?range={key}")
    assert page.status_code == 200
    assert f'href="/names/shop.ship?range={key}"' in page.text
    assert "/tasks?name=shop.ship" in page.text
    assert EVIL not in page.text
    assert EVIL in text_of(page)


def test_a_part_of_a_name_narrows_the_list(shop: Shop) -> None:
    clock.use(lambda: (T + 600 * SECOND) * 1_000)
    names = shop.get("/names.json?q=SHIP").json()["names"]
    assert [(each["name"], each["ended"], each["bad"], each["stored"]) for each in names] == [("shop.ship", 4, 3, 4)]
    assert "No matching task names" in text_of(shop.get("/names?q=never"))
    assert shop.get("/names?app=other").status_code == 200
    assert shop.get("/names.json?page=1").json() == {"range": "90m", "names": [], "page": None}
    assert shop.get("/names?page=-1&range=1").status_code == 200
