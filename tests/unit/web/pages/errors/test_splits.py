# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the page of an error offers to split it by, and to whom."""

from __future__ import annotations

from tests.support.database import T, task
from tests.unit.web.pages.conftest import Shop

FRAMES = 'Traceback (most recent call last):\n  File "/srv/shop/tasks.py", line 3, in ship\n    take({})\nStockError: no\n'


def fail(shop: Shop, count: int) -> None:
    shop.tell(
        *(
            task("failed", f"s{n}", T + n, T, T, 9, "", "StockError", f"no '{'ab'[n % 2]}' left of {n}", FRAMES.format(n % 2))
            for n in range(count)
        )
    )


def test_messages_and_lines_of_the_newest_failures_are_offered(shop: Shop) -> None:
    fail(shop, 60)
    page = shop.get("/errors/2").text
    assert "no &#39;a&#39; left of * (25 of 50)" in page
    assert '<option value="shop.tasks.ship: take(0)">shop.tasks.ship: take(0) (25 of 50)</option>' in page
    assert "Split off by line of code" in page


def test_what_is_alike_is_not_offered(shop: Shop) -> None:
    shop.tell(*(task("failed", f"s{n}", T + n, T, T, 9, "", "StockError", f"no {n}", FRAMES.format(1)) for n in range(3)))
    page = shop.get("/errors/2").text
    assert "The newest 3 differ in numbers at most." in page
    assert "Split off by line of code" not in page


def test_without_a_traceback_only_messages_are_offered(shop: Shop) -> None:
    shop.tell(task("lost", "l1", T, "child_killed", "signal 9"))
    page = shop.get("/errors/2").text
    assert "Split off by message" in page
    assert "Split off by line of code" not in page


def test_a_viewer_and_a_merged_error_are_offered_nothing(shop: Shop) -> None:
    fail(shop, 2)
    shop.post("/errors/1/act", action="merge", other="2")
    assert "split_off" not in shop.get("/errors/2").text
    shop.become("vera")
    assert "split_off" not in shop.get("/errors/1").text
    assert shop.post("/errors/1/act", action="split_off", message="no*").status_code == 403
