# SPDX-License-Identifier: AGPL-3.0-or-later
"""The list of tasks: what is found, how many, and the same in every form."""

from __future__ import annotations

import re

import pytest

from tests.support.database import SECOND, T, life, task
from tests.support.site import text_of
from tests.unit.web.pages.conftest import EVIL, Shop
from z4j.background.word_index import IndexReport
from z4j.exceptions import BadInput
from z4j.web.pages.tasks.exports import JSON_LIMIT, PAGE, limit_of
from z4j.web.pages.tasks.list import note


def ids(shop: Shop, query: str = "") -> list[str]:
    return [row["task_id"] for row in shop.get(f"/tasks.json{query}").json()["tasks"]]


def test_tasks_are_listed_newest_first_and_narrowed_by_every_filter(shop: Shop) -> None:
    assert ids(shop) == ["waits", "good", "f2", "f1", "f0"]
    assert ids(shop, "?state=failed") == ["f2", "f1", "f0"]
    assert ids(shop, "?state=failed&state=succeeded") == ["good", "f2", "f1", "f0"]
    assert ids(shop, "?task_id=f1") == ["f1"]
    assert ids(shop, "?name=shop.ship&state=succeeded") == ["good"]
    assert ids(shop, "?queue=other") == ids(shop, "?app=other") == ids(shop, "?environment=staging") == []


def test_the_page_shows_them_escaped_and_linked(shop: Shop) -> None:
    page = shop.get("/tasks")
    assert EVIL in text_of(page)
    assert EVIL not in page.text
    assert {int(id) for id in re.findall(r'href="/tasks/(\d+)[?"]', page.text)} == {1, 2, 3, 4, 5}
    region = shop.get("/tasks", **{"HX-Request": "true"})
    assert "<html" not in region.text
    assert EVIL in text_of(region)


def test_what_was_typed_becomes_filters_of_the_address(shop: Shop) -> None:
    answer = shop.get("/tasks?q=state:failed")
    assert (answer.status_code, answer.headers["location"]) == (303, "/tasks?state=failed")
    assert shop.get(f"/tasks?q={EVIL}").status_code in (303, 400)


def test_a_query_narrows_and_stands_in_the_address(shop: Shop) -> None:
    assert shop.get("/tasks?q=state:failed ran:>2s").headers["location"] == "/tasks?state=failed&q=ran:%3E2s"
    assert shop.get("/tasks?q=").headers["location"] == "/tasks"
    assert shop.get("/tasks?q=queue:work&columns=ran").headers["location"] == "/tasks?queue=work&columns=ran"
    page = shop.get("/tasks?state=failed&q=name:shop.*+-env:staging")
    assert page.status_code == 200
    assert 'value="state:failed name:shop.* -env:staging"' in page.text
    assert "3 failed of" in text_of(page)
    assert ids(shop, "?q=error:ValueError+ran:<1s") == ["f2", "f1", "f0"]
    assert "3 tasks" in text_of(shop.get("/tasks?q=error:ValueError"))


def test_a_wrong_query_points_at_the_word(shop: Shop) -> None:
    page = shop.get("/tasks?q=state:failed stat:x -env:staging")
    assert page.status_code == 400
    assert "state:failed <mark>stat</mark>:x -env:staging" in page.text
    assert "Unknown field “stat”" in text_of(page)
    assert 'value="state:failed stat:x -env:staging"' in page.text


def test_the_longest_first(shop: Shop) -> None:
    page = shop.get("/tasks?state=failed&q=order:ran")
    assert "the 3 longest of 3 tasks" in text_of(page)
    assert 'aria-sort="descending"><a href="/tasks?state=failed"' in page.text
    assert 'href="/tasks?q=order:ran"' in shop.get("/tasks").text


def test_columns_are_chosen_in_the_address(shop: Shop) -> None:
    page = shop.get("/tasks?columns=release&columns=ran&columns=nonsense").text
    heads = re.findall(r'<th[^>]*scope="col"[^>]*>(?:<a[^>]*>)?([^<]*)', page)
    assert heads[:4] == ["state", "task", "release", "ran"]
    assert "columns=release,ran" in page
    assert "columns" not in shop.get("/tasks?columns=place,waited,ran,updated").text.split('id="tasks"')[1]


def test_a_late_index_of_words_is_reported() -> None:
    assert note(IndexReport()) == note(IndexReport(lag_us=2_000_000, waiting=9)) == ""
    assert note(IndexReport(lag_us=7_000_000)) == "The search index is 7.0\u202fs behind."
    assert note(IndexReport(old_left=3)) == "The search index is without 3 earlier tasks not indexed yet."


def test_every_task_stands_on_exactly_one_page(shop: Shop) -> None:
    many = 2 * PAGE + 1
    shop.tell(*(task("enqueued", f"n{number}", T + number * SECOND, queue="bulk") for number in range(many)))
    seen: list[int] = []
    href, pages = "/tasks?queue=bulk", 0
    while href:
        page = shop.get(href).text
        seen += dict.fromkeys(int(id) for id in re.findall(r'href="/tasks/(\d+)[?"]', page))
        found = re.search(r'href="([^"]*older=[^"]*)"', page)
        href, pages = found[1].replace("&amp;", "&") if found else "", pages + 1
    assert (pages, len(seen), len(set(seen))) == (3, many, many)


def test_the_likeliest_action_is_offered_to_those_who_may_ask(shop: Shop) -> None:
    assert 'action="/tasks/1/retry"' in shop.get("/tasks?state=failed").text
    assert 'action="/tasks/5/cancel"' in shop.get("/tasks?state=queued").text
    shop.become("vera")
    assert ' action="/tasks/' not in shop.get("/tasks").text


def test_a_table_holds_all_and_no_formula(shop: Shop) -> None:
    shop.tell(*life("x", T, name="=1+1"))
    lines = shop.get("/tasks.csv").text.splitlines()
    assert len(lines) == 7
    assert not any(cell.startswith("=") for line in lines for cell in line.split(","))


@pytest.mark.parametrize("text", ["0", "-1", "x", str(JSON_LIMIT + 1), "9" * 30, "٣"])
def test_a_limit_beyond_what_is_allowed_is_refused(shop: Shop, text: str) -> None:
    assert shop.get(f"/tasks.json?limit={text}").status_code == 400
    with pytest.raises(BadInput):
        limit_of(text)


def test_a_limit_is_kept(shop: Shop) -> None:
    answer = shop.get("/tasks.json?limit=2").json()
    assert [row["task_id"] for row in answer["tasks"]] == ["waits", "good"]
    assert [row["task_id"] for row in shop.get(answer["older"]).json()["tasks"]] == ["f2", "f1", "f0"]
    assert limit_of(str(JSON_LIMIT)) == JSON_LIMIT


def test_an_empty_list_leads_to_what_is_to_be_done(empty: Shop) -> None:
    page = empty.get("/tasks")
    assert page.status_code == 200
    assert ids(empty) == []
    assert page.text != empty.get("/tasks?state=failed").text, "nothing was ever reported, or nothing matches"
    assert empty.get("/tasks?state=nonsense").status_code == 400
