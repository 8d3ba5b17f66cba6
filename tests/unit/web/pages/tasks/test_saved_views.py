# SPDX-License-Identifier: AGPL-3.0-or-later
"""Views are saved, named, shared and deleted, by their owners; each change is in the audit log."""

from __future__ import annotations

import re
from urllib.parse import quote

from tests.support.site import text_of
from tests.unit.web.pages.conftest import EVIL, Shop
from z4j.store.access.audit import list_audit


def save(shop: Shop, name: str, query: str, **more: str) -> str:
    answer = shop.post("/tasks/views", name=name, query=query, **more)
    assert answer.status_code == 303
    return str(answer.headers["location"])


def names(shop: Shop) -> list[str]:
    return re.findall(r'<a class="through" href="[^"]*">([^<]*)</a>', shop.get("/tasks/views").text)


def actions(shop: Shop) -> list[tuple[str, str, str]]:
    return [(row.action, row.target, row.outcome) for row in shop.call(list_audit, shop.server.store)]


def test_a_view_is_saved_with_its_count_and_columns(shop: Shop) -> None:
    assert save(shop, "Bad ones", "state=failed&columns=ran") == "/tasks?state=failed&columns=ran"
    save(shop, "Slow", "q=ran:>2s")
    page = shop.get("/tasks?state=failed&columns=ran")
    assert 'href="/tasks?state=failed&amp;columns=ran" aria-current="page" title="Bad ones"' in page.text, "in the rail, see sidebar_views"
    lines = text_of(shop.get("/tasks/views"))
    assert "Bad ones state:failed only you 3" in lines
    assert "Slow ran:>2s only you –" in lines, "nobody counts rows"
    assert names(shop) == ["Bad ones", "Slow"]
    assert 'value="state=failed"' in shop.get("/tasks/views?state=failed").text
    assert ("create_view", "view:Bad ones", "done") in actions(shop)


def test_names_are_checked_and_escaped(shop: Shop) -> None:
    save(shop, EVIL, "state=failed")
    assert EVIL not in shop.get("/tasks").text
    assert EVIL in text_of(shop.get("/tasks"))
    for name, query in (
        ("", "state=failed"),
        ("x" * 61, "state=failed"),
        (EVIL, "state=lost"),
        ("y", "q=stat:x"),
        ("y", "state=sleepy"),
        ("y", "since=x"),
    ):
        assert save(shop, name, query) == "/tasks/views"
    assert len(names(shop)) == 1


def test_a_view_is_changed_and_deleted_by_its_owner(shop: Shop) -> None:
    save(shop, "a", "state=failed")
    save(shop, "b", "state=lost")
    page = shop.get("/tasks/views").text
    first, second = (int(id) for id in re.findall(r'action="/tasks/views/(\d+)/change"', page))
    shop.post(f"/tasks/views/{first}/change", name="c", shared="yes")
    assert names(shop) == ["b", "c"]
    shop.post(f"/tasks/views/{first}/change", name="b")
    assert names(shop) == ["b", "c"], "another one has that name"
    shop.become("vera")
    assert names(shop) == ["c"], "only what is shared"
    shop.post(f"/tasks/views/{first}/delete")
    shop.post(f"/tasks/views/{second}/delete")
    assert save(shop, "mine", "state=failed", shared="yes") == "/tasks/views", "sharing takes an operator"
    assert save(shop, "mine", "state=failed") == "/tasks?state=failed"
    assert names(shop) == ["mine", "c"]
    shop.become("olga")
    assert "mine" not in names(shop)


def test_an_admin_deletes_what_others_share(shop: Shop) -> None:
    shop.become("olga")
    save(shop, "hers", "state=failed", shared="yes")
    id = re.findall(r'action="/tasks/views/(\d+)/delete"', shop.get("/tasks/views").text)[0]
    shop.become("ada")
    shop.post(f"/tasks/views/{id}/delete")
    assert names(shop) == []
    assert ("delete_view", "view:hers", "done") in actions(shop)


def test_the_query_of_a_view_keeps_its_meaning(shop: Shop) -> None:
    for query in ("state=failed,lost&q=name:shop.* -env:staging", 'q="two words" args.user_id:"a,b"', "q=caller:a+b"):
        where = save(
            shop, query[:50], "&".join(f"{key}={quote(value)}" for key, _, value in (part.partition("=") for part in query.split("&")))
        )
        assert where.startswith("/tasks?")
        text = re.search(r'name="q" value="([^"]*)"', shop.get(where).text)
        assert text
        assert where == shop.get(f"/tasks?q={quote(text[1].replace('&#34;', chr(34)).replace('&gt;', '>'))}").headers.get("location", where)
