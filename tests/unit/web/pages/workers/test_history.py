# SPDX-License-Identifier: AGPL-3.0-or-later
"""The history on the page of a worker: ended tasks, how busy it was, and when it was started."""

from __future__ import annotations

import pytest

from tests.support.database import SECOND, T, life, origin
from tests.support.site import text_of
from tests.unit.web.pages.conftest import Shop
from z4j import clock
from z4j.rules.history.ranges import SPANS

PAGE = "/workers/w1?app=shop&environment=production"
AT = T + 600 * SECOND


@pytest.fixture(autouse=True)
def _at(shop: Shop) -> None:
    clock.use(lambda: AT * 1_000)
    shop.tell(origin("n", AT - 300 * SECOND, release="3.0"), *life("x", AT - 60 * SECOND, run="n.7"))


@pytest.mark.parametrize("key", SPANS)
def test_charts_and_starts_whatever_the_range(shop: Shop, key: str) -> None:
    page = shop.get(f"{PAGE}&range={key}")
    assert page.status_code == 200
    text = text_of(page)
    assert "Ended and failed tasks per minute" in text
    assert "Busy" in text
    assert "started, 3.0" in page.text
    assert "in this range" in text


def test_the_history_is_there_for_programs(shop: Shop) -> None:
    body = shop.get("/history/worker.json?worker=w1&app=shop&environment=production").json()
    assert sum(slot["ended"] for slot in body["slots"]) == 5
    assert sum(slot["failed"] for slot in body["slots"]) == 3
    assert sum(slot["busy_us"] for slot in body["slots"]) == 5 * 900_000
    assert "3.0" in {start["release"] for start in body["starts"]}
    assert shop.get("/history/worker.json?worker=nobody").status_code == 404
