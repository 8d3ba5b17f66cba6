# SPDX-License-Identifier: AGPL-3.0-or-later
"""Views in the rail: own and shared ones, with counts that no page waits for."""

from __future__ import annotations

import re

from tests.support.stack import wait_for
from tests.unit.web.pages.conftest import EVIL, Shop
from z4j.web.pages.tasks.sidebar_views import SHOWN


def rail(shop: Shop, path: str = "/queues") -> list[tuple[str, str, str]]:
    """(name, href, count) of the views in the rail; the last is the link to all."""
    section = re.search(r'<div class="views".*?</div>', shop.get(path).text, re.DOTALL)
    found = re.findall(
        r'<a href="([^"]*)"[^>]*><span class="cut">(.*?)</span>(?:<span class="n">(.*?)</span>)?</a>', section[0] if section else ""
    )
    return [(name, href.replace("&amp;", "&"), count) for href, name, count in found]


def counted(shop: Shop) -> list[tuple[str, str, str]]:
    return wait_for(lambda: [line for line in rail(shop) if line[2]], what="the counts are read")


def test_without_views_the_rail_has_no_such_part(shop: Shop) -> None:
    assert 'class="views"' not in shop.get("/queues").text


def test_a_view_is_there_at_once_and_its_count_a_moment_later(shop: Shop) -> None:
    shop.post("/tasks/views", query="state=failed", name="Failed")
    assert [line[:2] for line in rail(shop)] == [("Failed", "/tasks?state=failed")]
    assert counted(shop) == [("Failed", "/tasks?state=failed", "3")]
    shop.post("/tasks/views/1/delete")
    assert rail(shop) == []


def test_the_open_view_is_marked(shop: Shop) -> None:
    shop.post("/tasks/views", query="state=failed", name="Failed")
    assert re.search(r'<a href="/tasks\?state=failed" aria-current="page" title="Failed"', shop.get("/tasks?state=failed").text)
    assert not re.search(r'aria-current="page" title="Failed"', shop.get("/tasks").text)


def test_shared_views_of_others_are_there_and_own_ones_alone_are_not(shop: Shop) -> None:
    shop.post("/tasks/views", query="state=failed", name="Shared", shared="yes")
    shop.post("/tasks/views", query="state=failed", name="Mine")
    shop.become("vera")
    assert [line[0] for line in rail(shop)] == ["Shared"]
    assert "Shared, shared by ada" in shop.get("/queues").text


def test_what_the_counters_do_not_know_has_no_count_and_names_are_escaped(shop: Shop) -> None:
    shop.post("/tasks/views", query="state=failed", name="Failed")
    shop.post("/tasks/views", query="q=ran:>2s", name=EVIL)
    assert [line[0] for line in counted(shop)] == ["Failed"]
    assert EVIL not in shop.get("/queues").text


def test_a_few_are_shown(shop: Shop) -> None:
    for number in range(SHOWN + 3):
        shop.post("/tasks/views", query="state=failed", name=f"View {number:02}")
    assert len(rail(shop)) == SHOWN
    assert 'href="/tasks/views">all views' in shop.get("/queues").text
