# SPDX-License-Identifier: AGPL-3.0-or-later
"""The log lines of a task on its page, on a page of their own, as .json and .csv, in the API; and what its runs used."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.database import SECOND, T, life, origin, task
from tests.support.site import Site
from z4j.agents.ingest import ingest_batch
from z4j.formats import size
from z4j.web.pages.tasks.logs import ON_TASK_PAGE, word_of
from z4j_agent import wire

STARTED = T + 2 * SECOND


@pytest.fixture
def shop(empty: Site) -> Site:
    tell(empty, *life("a", T)[:3], [*life("a", T)[3][:-1], [1_500_000, 1, 51_200, 2_048, 0]])
    return empty


def tell(shop: Site, *records: list[Any]) -> None:
    shop.call(ingest_batch, shop.server.store, 1, b"".join(map(wire.encode_record, [origin(), *records])), at=T)


def line(number: int, message: str, level: int = 20, dropped: int = 0) -> list[Any]:
    return task("logged", "a", STARTED + number, STARTED, number, level, "shop.orders", message, dropped)


def test_the_page_shows_lines_by_attempt_and_what_was_dropped(shop: Site) -> None:
    assert "data-log" not in shop.client.get("/tasks/1").text
    tell(shop, line(0, "charging <b>8123</b>"), line(1, "slow bank", 30, 2), line(2, "", 0, 414))
    page = shop.client.get("/tasks/1").text
    assert "charging &lt;b&gt;8123&lt;/b&gt;" in page
    assert page.index("2 lines dropped") < page.index("slow bank") < page.index("412 lines dropped")
    assert 'href="/tasks/1?level=warning"' in page
    page = shop.client.get("/tasks/1?level=warning").text
    assert "slow bank" in page
    assert "charging" not in page.split("data-log")[1]
    assert shop.client.get("/tasks/1?level=loud").status_code == 400


def test_all_lines_have_a_page_and_exports(shop: Site) -> None:
    tell(shop, *(line(number, f"line {number}") for number in range(ON_TASK_PAGE + 10)))
    page = shop.client.get("/tasks/1").text
    assert "line 59" in page
    assert ">line 9<" not in page
    assert 'href="/tasks/1/logs?run=1"' in page
    page = shop.client.get("/tasks/1/logs?run=1").text
    assert ">line 9<" in page
    assert 'href="/tasks/1/logs?level=error&amp;run=1"' in page
    [run] = shop.client.get("/tasks/1/logs.json").json()["runs"]
    assert (run["total"], run["attempt"], run["lines"][9]["message"]) == (60, 0, "line 9")
    assert shop.client.get("/tasks/1/logs.json?run=2").json() == {"runs": []}
    rows = shop.client.get("/tasks/1/logs.csv").text.splitlines()
    assert rows[0] == "attempt,run,at,level,logger,message,dropped"
    assert "info,shop.orders,line 0" in rows[1].replace('"', "")
    assert shop.client.get("/tasks/1/logs?run=x").status_code == 400
    assert shop.client.get("/tasks/9/logs").status_code == 404


def test_the_api_answers_the_same(shop: Site) -> None:
    tell(shop, line(0, "charging"), line(1, "slow bank", 30))
    answer = shop.client.get("/api/v1/tasks/1/logs?level=warning").json()
    assert [each["message"] for each in answer["runs"][0]["lines"]] == ["slow bank"]


def test_what_a_run_used_is_shown_with_what_it_is_of(shop: Site) -> None:
    page = shop.client.get("/tasks/1").text
    assert "of the thread" in page
    assert size(51_200 * 1_024) in page
    assert f"{size(2_048 * 1_024)} more than before this attempt" in page
    run = shop.client.get("/tasks/1.json").json()["runs"][0]["usage"]
    assert run == {"cpu_us": 1_500_000, "cpu_of": "thread", "peak_kib": 51_200, "peak_rise_kib": 2_048, "is_own_process": False}
    assert "CPU time" in shop.client.get("/tasks/compare?a=1&b=1").text


def test_levels_between_the_words_have_the_lower_one() -> None:
    assert [word_of(level) for level in (1, 10, 25, 30, 55)] == ["debug", "debug", "info", "warning", "critical"]
