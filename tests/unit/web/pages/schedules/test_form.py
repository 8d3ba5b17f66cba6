# SPDX-License-Identifier: AGPL-3.0-or-later
"""Schedules through the pages and the API: made, looked at, changed and deleted, with what may not be."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.site import text_of
from tests.unit.web.pages.schedules.samples import NEW, ask, rows


def test_one_is_made_in_the_form_and_looked_at(shop: Any) -> None:
    assert "Celery Beat" in text_of(shop.get("/schedules/new"))
    assert "Create 1 schedule" in text_of(shop.get("/schedules/new?app=shop&scheduler=z4j"))
    checked = shop.post("/schedules/new", **NEW, step="check")
    assert "At 02:30, Monday through Friday" in text_of(checked)
    assert "does not exist in Europe/Berlin" not in text_of(checked), "a Sunday is no weekday"
    assert rows(shop).keys() == {"in-code", "odd"}
    made = shop.post("/schedules/new", **NEW, step="save")
    assert made.status_code == 303
    page = text_of(shop.get(made.headers["location"]))
    assert "nightly was created." in page
    for word in ("30 2 * * mon-fri", "Europe/Berlin", "shop.ship", "created by ada", "No due times yet"):
        assert word in page, word
    assert rows(shop)["nightly"].args == "[7]"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"expression": "61 * * * *"}, "0 to 59"),
        ({"args": "[]"}, "order is missing"),
        ({"args": "seven"}, "not valid JSON"),
        ({"args": "{}"}, "must be a JSON list"),
        ({"kwargs": "[]"}, "a JSON object"),
        ({"timezone": "Mars/Olympus"}, "Unknown time zone"),
        ({"kind": "built", "every": "weekly", "time": "02:30"}, "at least one weekday"),
        ({"kind": "built", "every": "now and then"}, "Choose how often"),
        ({"kind": "once", "once": "2027-03-28 02:30"}, "2027-03-28 03:30"),
        ({"jitter_s": "much"}, "Jitter must be a number of seconds"),
        ({"starts_at": "soon"}, "The start must be a time"),
        ({"priority": "high"}, "must be an integer"),
        ({"app": "nobody"}, "Unknown app"),
    ],
)
def test_what_does_not_fit_comes_back_with_what_was_typed(shop: Any, changes: dict[str, str], word: str) -> None:
    answer = shop.post("/schedules/new", **(NEW | changes), step="save")
    assert answer.status_code == 200
    assert word in text_of(answer)
    assert 'value="nightly"' in answer.text
    assert "nightly" not in rows(shop)


def test_the_preview_says_what_the_clocks_do(shop: Any) -> None:
    answer = shop.post("/schedules/preview", **(NEW | {"expression": "30 2 * * *"}))
    said = text_of(answer)
    assert "<html" not in answer.text
    assert "02:30 does not exist in Europe/Berlin" in said
    assert "occurs twice" in said
    assert said.count("+0100") + said.count("+0200") >= 5, "in winter or in summer"
    assert "No connected worker has registered shop.sink" in text_of(shop.post("/schedules/preview", **(NEW | {"task_name": "shop.sink"})))


def test_times_stand_in_the_viewers_zone_too(shop: Any) -> None:
    shop.client.cookies.set("z4j_zone", "America%2FNew_York")
    assert "America/New_York" in text_of(shop.post("/schedules/preview", **NEW))
    shop.client.cookies.set("z4j_zone", "<b>nowhere")
    assert "<b>" not in shop.post("/schedules/preview", **NEW).text.replace("<b>", "", 0).partition("What")[0].replace("</b>", "")


def test_an_edit_is_reviewed_before_it_is_saved(shop: Any) -> None:
    shop.post("/schedules/new", **NEW, step="save")
    row = rows(shop)["nightly"]
    path = f"/schedules/{row.id}/edit"
    assert "Review changes" in text_of(shop.get(path))
    change = NEW | {"expression": "45 3 * * *", "reason": "later"}
    reviewed = text_of(shop.post(path, **change, step="review"))
    assert "30 2 * * mon-fri 45 3 * * *" in reviewed
    assert "Save 1 change" in reviewed
    assert rows(shop)["nightly"].expression == "30 2 * * mon-fri"
    assert shop.post(path, **change, step="save").headers["location"] == f"/schedules/{row.id}"
    assert rows(shop)["nightly"].expression == "45 3 * * *"
    assert "no changes yet" in text_of(shop.post(path, **change, step="review"))
    assert ("ada", "save_schedule", "schedule z4j:nightly", "done") in [row[:4] for row in shop.audit()]
    assert "later" in text_of(shop.get(f"/schedules/{row.id}"))


# -- the API ---------------------------------------------------------------------------------------------------------------
def test_the_api_does_the_same(shop: Any) -> None:
    body = {
        "app": "shop", "engine": "celery", "environment": "production", "name": "by-api", "kind": "interval", "expression": "5m",
        "task_name": "shop.ship", "args": [1],
    }  # fmt: skip
    made = ask(shop, "POST", "/schedules", body)
    assert made.status_code == 201
    id = made.json()["id"]
    assert ask(shop, "POST", "/schedules", body | {"args": []}).status_code == 400
    assert ask(shop, "POST", "/schedules", body, role="viewer").status_code == 403
    assert ask(shop, "POST", f"/schedules/{id}", {"expression": "10m", "jitter_s": 3}).status_code == 202
    told = ask(shop, "GET", f"/schedules/{id}", role="viewer").json()["schedule"]
    assert (told["expression"], told["jitter_us"], told["args"], told["says"]) == ("600", 3_000_000, "[1]", "Every 10 minutes")
    fire = ask(shop, "POST", f"/schedules/{id}/actions", {"action": "fire"}).json()
    assert fire["task_id"] == shop.frames[-1]["params"]["new_id"]
    for action, status in (("disable", 400), ("enable", 202), ("revert", 409), ("delete", 400), ("dance", 400)):
        assert ask(shop, "POST", f"/schedules/{id}/actions", {"action": action}).status_code == status, action
    assert ask(shop, "POST", f"/schedules/{id}/actions", {"action": "delete", "confirm": "delete"}).status_code == 202
    assert ask(shop, "GET", f"/schedules/{id}").status_code == 404
    listed = ask(shop, "GET", "/schedules?app=shop").json()["schedules"]
    assert {of["name"] for of in listed} == {"in-code", "odd"}
    assert [of["scheduler"] for of in ask(shop, "GET", "/schedulers").json()["schedulers"]] == ["celery_beat"]
    code = next(of["id"] for of in listed if of["name"] == "in-code")
    assert ask(shop, "POST", f"/schedules/{code}/actions", {"action": "disable", "reason": "x"}).status_code == 202
    assert ask(shop, "POST", f"/schedules/{code}/actions", {"action": "revert"}).status_code == 202
