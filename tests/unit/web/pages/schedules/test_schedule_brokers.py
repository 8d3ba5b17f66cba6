# SPDX-License-Identifier: AGPL-3.0-or-later
"""The broker of a schedule of z4j's own in the form and in the API: asked for where agents use several."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.site import Site, text_of
from z4j.agents.connections import AgentLink
from z4j.store.schedules import schedules
from z4j.web.pages.settings.connection_strings import make_api_token

A, B = "redis://a:6379/0", "redis://a:6379/1"
NEW = {
    "app": "shop", "scheduler": "z4j", "engine": "rq", "environment": "production", "name": "nightly", "task_name": "shop.ship",
    "kind": "cron", "expression": "30 2 * * *", "timezone": "UTC",
}  # fmt: skip
FORM = NEW | {"args": "[]", "kwargs": "{}", "is_enabled": "on"}


@pytest.fixture
def shop(empty: Site) -> Site:
    return empty


def connect(shop: Site, broker: str) -> None:
    link = AgentLink(
        1, broker, broker, "worker", broker, "all", frozenset(), "", True, lambda frame: None, lambda code, why: None,
        {("rq", "run_task"): "any"}, "production", brokers={"rq": {broker: ""}},
    )  # fmt: skip
    shop.server.hub.connect(link)


def ask(shop: Site, path: str, body: Any = None) -> Any:
    token = shop.call(make_api_token, shop.server.store, "operator", "operator", 1, "test")[1]
    method = "GET" if body is None else "POST"
    return shop.client.request(method, f"/api/v1{path}", json=body, headers={"Authorization": f"Bearer {token}"})


def test_the_form_asks_for_it_where_there_are_several(shop: Site) -> None:
    where = "/schedules/new?app=shop&scheduler=z4j"
    connect(shop, A)
    assert 'name="broker"' not in shop.get(where).text
    connect(shop, B)
    shown = shop.get(where).text
    assert 'name="broker"' in shown
    assert "any broker with the task" in shown
    made = shop.post("/schedules/new", **FORM, broker=B, step="save")
    page = text_of(shop.get(made.headers["location"]))
    assert B in page
    [row] = shop.call(schedules.list_schedules, shop.server.store)
    assert row.broker == B
    edited = shop.get(f"/schedules/{row.id}/edit").text
    assert f'value="{B}" selected' in edited
    reviewed = text_of(shop.post(f"/schedules/{row.id}/edit", **FORM, broker=A, step="review"))
    assert "broker" in reviewed
    shop.post(f"/schedules/{row.id}/edit", **FORM, broker=A, step="save")
    assert [row.broker for row in shop.call(schedules.list_schedules, shop.server.store)] == [A]


def test_the_api_takes_it_and_tells_it(shop: Site) -> None:
    for broker in (A, B):
        connect(shop, broker)
    answer = ask(shop, "/schedules", NEW | {"broker": B})
    assert answer.status_code == 201, answer.text
    id = answer.json()["id"]
    assert ask(shop, f"/schedules/{id}").json()["schedule"]["broker"] == B
    assert ask(shop, f"/schedules/{id}", {"name": "renamed"}).status_code == 202
    assert ask(shop, f"/schedules/{id}").json()["schedule"]["broker"] == B, "what is null stays"
    assert ask(shop, f"/schedules/{id}", {"broker": A}).status_code == 202
    assert ask(shop, "/schedules").json()["schedules"][0]["broker"] == A
    assert ask(shop, f"/schedules/{id}", {"broker": "redis://c:6379/0"}).status_code == 400
