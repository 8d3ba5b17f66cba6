# SPDX-License-Identifier: AGPL-3.0-or-later
"""The history on the page of a queue: charts, what fills it, and when it will be empty."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from tests.support.database import SECOND, T, life, origin, task
from tests.support.site import text_of
from tests.unit.web.pages.conftest import EVIL, Shop
from z4j import clock
from z4j.rules.findings.activity import QueueActivity, QueueMinute
from z4j.rules.findings.finding import Scope
from z4j.rules.history.ranges import SPANS
from z4j.store.fleet import queues
from z4j.store.sqlite.db import Connection

PAGE = "/queues/work?app=shop&environment=production&engine=celery"
AT = T + 600 * SECOND


@pytest.fixture(autouse=True)
def _at(shop: Shop) -> None:
    clock.use(lambda: AT * 1_000)
    shop.tell(
        origin("n", AT - 300 * SECOND, release="3.0"),
        *[task("enqueued", f"r{number}", AT - 60 * SECOND, None, {"route": f"POST {EVIL}"}) for number in range(12)],
        *life("x", AT - 60 * SECOND, run="n.7"),
    )
    seen = ("celery", "work", "", 40, 2, AT - 90 * SECOND, None, 3)
    environment = shop.call(_environment, shop)

    def record(db: Connection) -> None:
        queues.record(db, 1, environment, [seen], AT - 30 * SECOND)

    shop.write(record)


async def _environment(shop: Shop) -> int:
    row = await shop.server.store.fetch_one("SELECT id FROM name WHERE kind = 'environment' AND text = 'production'")
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("key", SPANS)
def test_charts_have_what_went_in_and_out_whatever_the_range(shop: Shop, key: str) -> None:
    page = shop.get(f"{PAGE}&range={key}")
    assert page.status_code == 200
    text = text_of(page)
    for title in ("Tasks in the broker", "Age of the oldest task", "In, out and failed per minute", "Waited: p50, p95, p99"):
        assert title in text
    assert "release 3.0" in page.text
    assert f'aria-current="true">{SPANS[key].word}' in page.text


def test_what_fills_the_queue_is_shown_by_name_and_by_caller(shop: Shop) -> None:
    page = shop.get(PAGE)
    text = re.sub(r"\s+", " ", text_of(page))
    assert EVIL not in page.text
    assert f"POST {EVIL}" in text
    assert "Enqueued by task name" in text
    assert 'href="/names/shop.ship?app=shop' in html.unescape(page.text).replace("engine=celery&app=shop", "app=shop&engine=celery")
    assert "of the newest" in text


def activity(**changes: Any) -> QueueActivity:
    minutes = tuple(QueueMinute(40, 10, 20) for _ in range(60))
    values: dict[str, Any] = {
        "scope": Scope("shop", "production", "celery"), "name": "work", "at": AT, "depth": 400, "oldest_us": 1, "consumers": 2,
        "delayed": None, "dead": None, "queued": 0, "running": 0, "concurrency": 2, "is_paused": False, "reported_us": 1,
        "minutes": minutes,
    }  # fmt: skip
    values |= changes
    return QueueActivity(**values)


def test_the_forecast_says_what_more_workers_would_do(shop: Shop) -> None:
    shop.server.findings.queues = (activity(),)
    text = text_of(shop.get(PAGE))
    assert "Drains in 40 min; with 2 more workers in 13 min" in text
    for none in (activity(depth=0), activity(is_paused=True), activity(name="other"), activity(minutes=())):
        shop.server.findings.queues = (none,)
        assert "Drains" not in text_of(shop.get(PAGE))
    shop.server.findings.queues = (activity(minutes=tuple(QueueMinute(40, 20, 10) for _ in range(60))),)
    assert "Drains never at this rate" in text_of(shop.get(PAGE))


def test_the_history_is_there_for_programs(shop: Shop) -> None:
    body = shop.get("/history/queue.json?queue=work&app=shop&range=90m").json()
    assert sum(slot.get("enqueued", 0) for slot in body["slots"]) == 18
    assert [(each["depth"], each["dead"], each["oldest_us"]) for each in body["reports"]] == [(40, 3, 60 * SECOND)]
    assert body["callers"]["read"] == 18
    assert body["entered_last_hour"]["shop.ship"] == 17
    assert body["entered_same_hour_last_week"] is None
    assert shop.get("/history/queue.json?queue=nothing").status_code == 404
