# SPDX-License-Identifier: AGPL-3.0-or-later
"""Everything that matches, as CSV and as JSON."""

from __future__ import annotations

from tests.support.database import SECOND, T, task
from tests.unit.web.pages.conftest import Shop
from z4j.web.pages.tasks.exports import JSON_LIMIT


def test_both_forms_hold_everything_that_matches(shop: Shop) -> None:
    many = JSON_LIMIT + 3
    shop.tell(*(task("enqueued", f"n{number}", T + number * SECOND, queue="bulk") for number in range(many)))
    whole = shop.get("/tasks.json?queue=bulk&limit=all").json()["tasks"]
    assert [row["task_id"] for row in whole] == [f"n{number}" for number in reversed(range(many))]
    assert len(shop.get("/tasks.csv?queue=bulk&q=-state:failed").text.splitlines()) == many + 1
    assert len(shop.get("/tasks.csv?queue=bulk&q=order:ran").text.splitlines()) == many + 1
    assert shop.get("/tasks.json?queue=none&limit=all").json() == {"tasks": []}


def test_a_wrong_query_is_located(shop: Shop) -> None:
    answer = shop.get("/tasks.json?q=state:failed+stat:x")
    assert answer.status_code == 400
    assert answer.json()["detail"] == "Unknown field “stat”. In the query at character 14: stat."
    assert shop.get("/tasks.csv?q=stat:x").status_code == 400
