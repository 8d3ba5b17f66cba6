# SPDX-License-Identifier: AGPL-3.0-or-later
"""The next 24 hours: everything that is due, and where it piles up."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.database import T
from tests.support.site import text_of
from tests.unit.web.pages.schedules.samples import NEW, SECOND
from z4j import clock
from z4j.web.pages.schedules.calendar import BUCKET, occurrences, window
from z4j.web.pages.schedules.list import list_lines


def test_the_next_24_hours(shop: Any) -> None:
    for number in range(4):
        shop.post("/schedules/new", **(NEW | {"name": f"n{number}", "expression": "0 5 * * *"}), step="save")
    shop.post("/schedules/new", **(NEW | {"name": "often", "kind": "interval", "seconds": "30"}), step="save")
    page = text_of(shop.get("/schedules/calendar"))
    assert "4 schedules are due in the same minute." in page
    assert "2 schedules run more often" in page, "the one of thirty seconds, and Celery Beat's of a minute"
    now = clock.now()
    lines, _ = shop.call(list_lines, shop.server.store, _any(), now)
    _, due = occurrences([of.row for of in lines if of.row.next_at], now, now + 86_400 * SECOND)
    first = next(at for at, row in due if row.name == "n0")
    narrowed = text_of(shop.get(f"/schedules/calendar?from={first}&to={first + 60 * SECOND}"))
    assert "n3" in narrowed
    assert shop.get("/schedules/calendar?from=x&to=99999999999999999999").status_code == 200


@pytest.mark.parametrize("minute", [0, 1, 14, 15, 239, 240, 241, 254, 255, 719, 1439])
def test_the_whole_window_is_shown_at_any_time_of_the_day(shop: Any, minute: int) -> None:
    """Also what is due in its last, partial quarter of an hour."""
    shop.post("/schedules/new", **(NEW | {"name": "daily", "expression": "0 4 * * *", "timezone": "UTC"}), step="save")
    midnight = clock.now() // (86_400 * SECOND) * 86_400 * SECOND
    now = midnight + minute * 60 * SECOND + 7
    due = midnight + 4 * 3_600 * SECOND + (86_400 * SECOND if minute >= 240 else 0)
    shop.write(lambda db: db.execute("UPDATE schedule SET next_at = ? WHERE name = 'daily'", (due,)).rowcount)
    clock.use(lambda: now * 1000)
    try:
        assert shop.sign_in().status_code == 303
        page = shop.get("/schedules/calendar").text
    finally:
        clock.use()
    assert len(re.findall(r"\bdaily\b", text_of_part(page))) == 1
    bars = re.findall(r'<a href="/schedules/calendar\?from=(\d+)&amp;to=(\d+)#due"[^>]*><rect', page)
    assert any(int(first) <= due < int(last) for first, last in bars)


def test_every_due_time_of_a_day_is_in_the_window_and_in_the_chart() -> None:
    for now in range(T, T + 86_400 * SECOND, 61 * SECOND):
        start, end, buckets = window(now)
        assert end - now == 86_400 * SECOND
        assert start <= now
        assert 0 <= (end - 1 - start) // BUCKET < buckets <= 97


def text_of_part(page: str) -> str:
    """What is listed below the chart."""
    return " ".join(re.sub(r"<[^>]+>", " ", page.partition('id="due"')[2]).split())


def _any() -> Any:
    from z4j.web.pages.tasks.filters import Filters

    return Filters()
