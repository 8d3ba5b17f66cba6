# SPDX-License-Identifier: AGPL-3.0-or-later
"""A person's time zone on every page: chosen under the account, in lists, titles and queries, and no time in another."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import pytest

from tests.support.database import SECOND, T
from tests.support.site import text_of
from tests.unit.web.pages.conftest import Shop
from z4j import clock
from z4j.web.frame.times import EXPORTS
from z4j.web.routes import all_rows

WHOLE_DAY = ("/errors/1", "/schedules/calendar")
"""Pages with a chart of 24 hours: every hour is on them."""
KATHMANDU = "Asia/Kathmandu"
SHOWN_ELSEWHERE = ("/patterns", "/settings/account", "/static/{mark}/{path:path}", "/events", "/setup", "/login", "/healthz", "/settings")
"""Examples with times of their own; the choice of a zone, which has UTC; and what is no page of a person."""


def test_a_person_chooses_a_zone(shop: Shop) -> None:
    assert "18 Nov 11:06" in text_of(shop.get("/tasks"))
    assert shop.post("/settings/account/zone", zone=KATHMANDU).status_code == 303
    page = shop.get("/tasks")
    assert "18 Nov 16:51" in text_of(page)
    assert 'title="2026-11-18 16:51:43.000 +0545 · 2026-11-18 11:06:43.000 UTC"' in page.text
    assert f'data-zone="{KATHMANDU}"' in page.text
    assert shop.audit()[-1][1:] == ("set_time_zone", "user:ada", "done", {"zone": KATHMANDU})
    assert "2026-11-18T11:06:" in shop.get("/tasks.csv").text
    shop.post("/settings/account/zone", zone="Mars/Olympus")
    assert "18 Nov 16:51" in text_of(shop.get("/tasks"))
    shop.post("/settings/account/zone", zone="")
    assert "18 Nov 11:06" in text_of(shop.get("/tasks"))


def test_a_local_time_of_a_query_gets_the_offset_of_the_zone(shop: Shop) -> None:
    shop.post("/settings/account/zone", zone=KATHMANDU)
    moved = shop.get("/tasks?q=since:2026-11-18T16:51 state:failed".replace(" ", "+"))
    assert moved.status_code == 303
    assert "since=2026-11-18T16:51%2B05:45" in moved.headers["location"]
    assert "3 tasks" in text_of(shop.get(moved.headers["location"]))
    assert "0 tasks" in text_of(shop.get("/tasks?since=2026-11-18T16:53&state=failed"))
    assert "3 tasks" in text_of(shop.get("/tasks?since=2026-11-18T11:06Z&state=failed"))


def test_a_time_in_a_form_is_one_of_the_zone(shop: Shop) -> None:
    shop.post("/settings/account/zone", zone=KATHMANDU)
    shop.post("/alerts/maintenance", lasts="1800", **{"from": "2099-01-01T10:00"})
    assert "2099-01-01 10:00:00.000 +0545" in text_of(shop.get("/alerts/maintenance"))


def pages() -> list[str]:
    """The path of every page, with what the shop has."""
    chosen = {"/tasks/compare": "/tasks/compare?a=1&b=2", "/plans/new": "/plans/new?state=failed"}
    names = {"/names/": "shop.ship", "/queues/": "work", "/workers/": "w1"}
    found = []
    for row in all_rows():
        if row.method != "GET" or row.role in ("public", "packages") or row.path in SHOWN_ELSEWHERE or row.path.startswith("/api/"):
            continue
        if row.path.endswith(EXPORTS):
            continue
        path = row.path.replace("{id:int}", "1")
        for start, name in names.items():
            path = path.replace(f"{start}{{name:path}}", f"{start}{name}?app=shop&environment=production&engine=celery")
        found.append(chosen.get(row.path, path))
    return found


def shown(text: str) -> list[str]:
    """Every text and label of a page but titles: `title` attributes and elements may have UTC, too."""
    text = re.sub(r"<(script|title|head|select)\b.*?</\1>", "", text, flags=re.DOTALL)
    labels = re.findall(r'aria-label="([^"]*)"', text)
    return [html.unescape(part) for part in [*re.sub(r"<[^>]+>", "\n", text).split("\n"), *labels] if part.strip()]


@pytest.fixture
def noon() -> Iterator[None]:
    """It is 12:06 in UTC and 17:51 in Kathmandu, an hour after the shop's tasks."""
    clock.use(lambda: (T + 3_600 * SECOND) * 1_000)
    yield
    clock.use()


@pytest.mark.parametrize("path", pages())
@pytest.mark.usefixtures("noon")
def test_no_page_shows_a_time_in_utc_to_somebody_elsewhere(shop: Shop, path: str) -> None:
    """All times of the shop, and those of charts up to now, are from 10 to 12 o'clock in UTC, and from 16 to 17 there."""
    shop.post("/settings/account/zone", zone=KATHMANDU)
    answer = shop.get(path)
    if answer.status_code == 404:
        pytest.skip("the shop has nothing there")
    assert answer.status_code == 200, path
    texts = [part for part in shown(answer.text) if "nightly at" not in part and "first one is due at" not in part]
    assert [part for part in texts if "UTC" in part] == []
    of_utc = r"\b11:0[6-9]\b" if path in WHOLE_DAY else r"\b1[0-2]:[0-5]\d\b"
    assert [part for part in texts if re.search(of_utc, part)] == []
