# SPDX-License-Identifier: AGPL-3.0-or-later
"""Two tasks side by side: what differs is marked, and nothing else."""

from __future__ import annotations

import re

from tests.support.database import SECOND, T, life, task
from tests.support.site import text_of
from tests.unit.web.pages.conftest import EVIL, Shop


def marked(page: str) -> list[str]:
    return re.findall(r'<div class="differs">\s*<dt>([^<]*)<', page)


def ids(shop: Shop) -> dict[str, int]:
    return {row["task_id"]: row["id"] for row in shop.get("/tasks.json").json()["tasks"]}


def test_what_differs_is_marked(shop: Shop) -> None:
    for name, args, end in (("x", '[1] {"user": 7, "list": [1, 2]}', "succeeded"), ("y", '[1] {"user": 8, "more": true}', "failed")):
        shop.tell(*life(name, T, end), task("payload", name, T, 1, args, False, None, "none"))
    rows = ids(shop)
    page = shop.get(f"/tasks/compare?a={rows['x']}&b={rows['y']}")
    assert marked(page.text) == ["state", "exception", "message", "result", "user", "list", "more", "traceback"]
    assert "8 differences" in text_of(page)
    same = shop.get(f"/tasks/compare?a={rows['x']}&b={rows['x']}")
    assert marked(same.text) == []


def test_times_of_day_are_not_compared(shop: Shop) -> None:
    shop.tell(*life("x", T), *life("y", T + 100 * SECOND))
    rows = ids(shop)
    page = shop.get(f"/tasks/compare?a={rows['x']}&b={rows['y']}")
    assert marked(page.text) == []
    assert EVIL not in page.text


def test_two_ticked_rows_get_that_address(shop: Shop) -> None:
    assert shop.get("/tasks/compare?id=1&id=2").headers["location"] == "/tasks/compare?a=1&b=2"
    assert 'formaction="/tasks/compare"' in shop.get("/tasks").text
    for query in ("?id=1", "?id=1&id=2&id=3", "?a=1", "?a=x&b=1", "?a=٣&b=1"):
        assert shop.get(f"/tasks/compare{query}").status_code == 400
    assert shop.get("/tasks/compare?a=1&b=999").status_code == 404
