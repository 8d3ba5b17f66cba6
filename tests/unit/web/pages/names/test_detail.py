# SPDX-License-Identifier: AGPL-3.0-or-later
"""The page of a task name: its numbers lead to their tasks, whatever the range, and hostile names are text."""

from __future__ import annotations

import html
import re
from urllib.parse import quote

import pytest

from tests.support.database import SECOND, T, life, origin
from tests.support.site import text_of
from tests.unit.web.pages.conftest import EVIL, Shop
from z4j import clock
from z4j.rules.history.ranges import SPANS
from z4j.web.pages.names.detail import href_of
from z4j.web.pages.tasks.filters import Filters


def recent(shop: Shop) -> None:
    """Three tasks of the last minutes: one of them failed, in a second release."""
    at = clock.now() - 120 * SECOND
    shop.tell(
        origin("n", clock.now() - 600 * SECOND), origin("m", clock.now() - 300 * SECOND, release="2.0"),
        *life("now-1", at, run="n.7"), *life("now-2", at, run="n.7"), *life("now-3", at, "failed", run="m.7"),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _at(shop: Shop) -> None:
    clock.use(lambda: (T + 600 * SECOND) * 1_000)


@pytest.mark.parametrize("key", SPANS)
def test_the_numbers_of_a_range_lead_to_their_tasks(shop: Shop, key: str) -> None:
    recent(shop)
    page = shop.get(f"/names/shop.ship?range={key}")
    assert page.status_code == 200
    text = re.sub(r"\s+", " ", text_of(page))
    assert f'aria-current="true">{SPANS[key].word}' in page.text
    assert "Started, ended, failed and retried per minute" in text
    for label in ("started", "ended", "failed", "ran p50", "waited p99"):
        assert label in text
    for href in re.findall(r'href="(/tasks\?[^"]*)"', page.text)[::40]:
        assert shop.get(html.unescape(href)).status_code in (200, 303), href


def test_it_shows_releases_workers_and_the_slowest_tasks(shop: Shop) -> None:
    recent(shop)
    page = shop.get("/names/shop.ship?range=24h")
    text = text_of(page)
    assert "release 2.0" in html.unescape(page.text)  # the mark of its first sight
    for word in ("Releases", "1.0", "2.0", "Slowest tasks", "Workers", "w1", "Queues", "work"):
        assert word in text
    assert re.search(r'href="/tasks/\d+"', page.text)
    assert "(order, *, fast=False)" in text  # its signature
    assert 'href="/tasks/run?' in page.text
    shop.become("vera")
    assert 'href="/tasks/run?' not in shop.get("/names/shop.ship").text


def test_bars_of_a_histogram_lead_to_durations(shop: Shop) -> None:
    recent(shop)
    page = html.unescape(shop.get("/names/shop.ship?range=90m").text)
    assert re.search(r"q=ran:%3E%3D\d+us\+ran:%3C\d+us", page)
    assert re.search(r"q=waited:%3E%3D\d+us\+waited:%3C\d+us", page)


def test_filters_hold_and_an_unknown_name_is_not_found(shop: Shop) -> None:
    recent(shop)
    assert shop.get("/names/shop.ship?app=shop&engine=celery&environment=production").status_code == 200
    for path in ("/names/shop.never", "/names/shop.ship?app=other", "/names/shop.ship?engine=rq", "/names/", "/history/name.json?name=x"):
        assert shop.get(path).status_code == 404, path


def test_a_hostile_name_is_text(shop: Shop) -> None:
    page = shop.get(f"/names/{quote(EVIL, safe='')}?range=nonsense")
    assert page.status_code == 200
    assert EVIL not in page.text
    assert EVIL in text_of(page)
    assert href_of(EVIL, Filters(app="a b", queue="no")) == f"/names/{quote(EVIL, safe='')}?app=a+b"


def test_the_history_is_there_for_programs(shop: Shop) -> None:
    recent(shop)
    body = shop.get("/history/name.json?name=shop.ship&range=90m").json()
    assert body["range"] == "90m"
    slots = [slot for slot in body["slots"] if slot.get("started")]
    assert sum(slot["started"] for slot in slots) == 3 + 4  # with those of the fixture
    assert {part["name"] for part in body["releases"]} == {"1.0", "2.0"}
    assert body["slowest"][0]["runtime_us"] == 900_000
    assert body["ran_buckets"][0]["from_us"] <= 900_000 <= body["ran_buckets"][-1]["to_us"]
    assert shop.get("/api/v1/names/history?name=shop.ship").status_code in (200, 401)
