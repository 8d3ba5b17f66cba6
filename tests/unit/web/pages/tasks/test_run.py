# SPDX-License-Identifier: AGPL-3.0-or-later
"""Running a registered task: a form built from its signature, and arguments that fit it."""

from __future__ import annotations

import pytest

from tests.support.site import text_of
from tests.unit.web.pages.conftest import EVIL, Shop

PLACE = {"app": "shop", "environment": "production", "engine": "celery", "name": "shop.ship"}
FORM = "/tasks/run?app=shop&environment=production&engine=celery&name=shop.ship"


def test_registered_tasks_are_listed_and_searched(shop: Shop) -> None:
    assert 'name=shop.ship"' in shop.get("/tasks/run").text
    assert 'name=shop.ship&amp;q=SHIP"' in shop.get("/tasks/run?q=SHIP").text
    page = shop.get(f"/tasks/run?q={EVIL}")
    assert "name=shop.ship" not in page.text
    assert EVIL not in page.text


def test_the_form_has_a_field_for_each_parameter(shop: Shop) -> None:
    page = shop.get(FORM).text
    assert 'name="of.order"' in page
    assert 'name="of.fast"' in page
    assert 'name="of.order"' not in shop.get(FORM.replace("shop.ship", "shop.sink")).text


def test_it_is_run_with_the_arguments_that_were_typed_and_leads_to_the_task(shop: Shop) -> None:
    answer = shop.post("/tasks/run", **PLACE, **{"of.order": "7", "of.fast": "true"}, queue="bulk", reason=EVIL)
    assert answer.status_code == 303
    [frame] = shop.frames
    assert (frame["action"], frame["params"]["name"], frame["params"]["queue"]) == ("run_task", "shop.ship", "bulk")
    assert (frame["params"]["args"], frame["params"]["kwargs"]) in (([7], {"fast": True}), ([], {"order": 7, "fast": True}))
    assert f"task_id={frame['params']['new_id']}" in answer.headers["location"]


@pytest.mark.parametrize(
    "form",
    [
        {}, {"of.order": "no JSON"}, {"of.order": "7", "args": "{}"}, {"of.order": "7", "kwargs": "[]"},
        {"of.order": "7", "kwargs": '{"slow": 1}'}, {"of.order": "7", "name": "shop.sink"}, {"of.order": "7", "app": "other"},
        {"of.order": "7", "environment": "staging"}, {"of.order": "[" * 5_000},
    ],
    ids=lambda form: str(form)[:60],
)  # fmt: skip
def test_what_does_not_fit_comes_back_as_it_was_typed_and_nothing_is_run(shop: Shop, form: dict[str, str]) -> None:
    answer = shop.post("/tasks/run", **(PLACE | {"reason": EVIL} | form))
    assert answer.status_code in (200, 400, 404)
    assert shop.frames == []
    assert EVIL not in answer.text


def test_without_an_agent_nothing_is_run_and_the_form_comes_back(shop: Shop) -> None:
    [link] = shop.server.hub.all()
    shop.server.hub.disconnect(link)
    answer = shop.post("/tasks/run", **PLACE, **{"of.order": "4711"})
    assert answer.status_code == 200
    assert "4711" in answer.text
    assert shop.audit()[-1][3] == "refused"


def test_a_viewer_may_not_run_anything(shop: Shop) -> None:
    shop.become("vera")
    assert shop.get("/tasks/run").status_code == 403
    assert shop.post("/tasks/run", **PLACE, **{"of.order": "7"}).status_code == 403
    assert shop.frames == []
    assert "shop.ship" not in text_of(shop.get("/tasks/run"))
