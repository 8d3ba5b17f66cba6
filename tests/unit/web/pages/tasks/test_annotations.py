# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a task reports about itself, on its page, in the list and in the JSON: escaped, linked to its search, with links to other tools."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.database import SECOND, T, life, origin, task
from tests.support.site import Site
from z4j.agents.ingest import ingest_batch
from z4j.rules.tasks.link_templates import LinkTemplate
from z4j.store.annotations import link_templates
from z4j.store.annotations.attempt_annotations import Progress
from z4j.web.pages.tasks.annotations import bar_of
from z4j_agent import wire

START = T + 2 * SECOND
TRACE, EVENT = "ab" * 16, "e" * 32


@pytest.fixture
def shop(empty: Site) -> Site:
    return empty


def tell(shop: Site, *records: list[Any]) -> None:
    shop.call(ingest_batch, shop.server.store, 1, b"".join(map(wire.encode_record, [origin(), *records])), at=T + 60 * SECOND)


def note(task_id: str, **parts: Any) -> list[Any]:
    return [*task("started", task_id, START)[:-1], {"note": parts}]


def row_of(shop: Site, task_id: str) -> dict[str, Any]:
    [row] = shop.client.get(f"/tasks.json?task_id={task_id}").json()["tasks"]
    found: dict[str, Any] = row
    return found


def test_a_running_task_shows_its_progress_in_the_list_and_on_its_page(shop: Site) -> None:
    tell(shop, *life("a", T)[:3], note("a", progress=[START + 1, 30, 120, "orders & more"]))
    assert row_of(shop, "a")["progress"] == {"at": START + 1, "done": 30, "total": 120, "text": "orders & more"}
    for page in ("/tasks", f"/tasks/{row_of(shop, 'a')['id']}"):
        text = shop.client.get(page).text
        assert '<progress value="250" max="1000"' in text
        assert "30 of 120 · orders &amp; more" in text
    tell(shop, *life("a", T))
    assert "<progress" not in shop.client.get("/tasks").text
    assert "30 of 120" in shop.client.get(f"/tasks/{row_of(shop, 'a')['id']}").text


def test_annotations_are_escaped_and_lead_to_the_tasks_that_have_them(shop: Site) -> None:
    fields = {"order": [START, "42"], "name": [START, '<b>"Ann"</b>'], "password": [START, "•••"]}
    tell(shop, *life("a", T), note("a", fields=fields, excess=3))
    page = shop.client.get(f"/tasks/{row_of(shop, 'a')['id']}").text
    assert 'href="/tasks?q=note.order%3A42"' in page or 'href="/tasks?q=note.order:42"' in page
    assert "<b>&#34;Ann" not in page
    assert "&lt;b&gt;&#34;Ann&#34;&lt;/b&gt;" in page
    assert "q=note.password" not in page
    assert "3 or more annotations" in page


def test_ids_and_links_to_other_tools(shop: Site) -> None:
    templates = {
        "Trace": "https://tracing.example/trace/{trace_id}", "Event": "https://sentry.example/{sentry_event_id}?r={release}",
        "Order": "https://shop.example/orders/{note.order}", "Customer": "https://shop.example/customers/{note.customer}",
    }  # fmt: skip
    for name, url in templates.items():
        template = LinkTemplate(0, name, url)
        shop.call(shop.server.store.write, lambda db, template=template: link_templates.add_link_template(db, template, T))
    ids = {"trace_id": [START, TRACE], "sentry_event_id": [START, EVENT]}
    tell(shop, *life("a", T), note("a", ids=ids, fields={"order": [START, "4/2?"]}))
    detail = shop.client.get(f"/tasks/{row_of(shop, 'a')['id']}.json").json()
    assert (detail["notes"][0]["trace_id"], detail["notes"][0]["sentry_event_id"]) == (TRACE, EVENT)
    page = shop.client.get(f"/tasks/{row_of(shop, 'a')['id']}").text
    assert f'href="https://tracing.example/trace/{TRACE}"' in page
    assert f'href="https://sentry.example/{EVENT}?r=1.0"' in page
    assert 'href="https://shop.example/orders/4%2F2%3F"' in page
    assert "shop.example/customers" not in page, "it has no such annotation"
    assert f"trace%3A{TRACE}" in page or f"trace:{TRACE}" in page


@pytest.mark.parametrize(
    ("progress", "value", "of", "words"),
    [
        ((1, 2, "half"), 500, 1_000, "1 of 2 · half"),
        ((5, 2, ""), 1_000, 1_000, "5 of 2"),
        ((-5, 2, ""), 0, 1_000, "-5 of 2"),
        ((5, None, ""), 0, 0, "5"),
        ((5, 0, "none"), 0, 0, "5 · none"),
    ],
)
def test_bars(progress: tuple[float, float | None, str], value: int, of: int, words: str) -> None:
    bar = bar_of(Progress(T, *progress))
    assert bar is not None
    assert (bar.value, bar.of) == (value, of)
    assert bar.words.endswith(words)
    assert bar_of(None) is None
