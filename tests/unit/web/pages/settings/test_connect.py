# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import re

from tests.support.site import Site
from tests.unit.web.pages.conftest import Shop
from z4j.store.fleet import apps


def test_the_form_is_for_administrators(shop: Shop) -> None:
    assert "Show the lines to paste" in shop.get("/connect").text
    assert 'value="staging"' in shop.get("/connect?environment=staging&engine=rq").text
    shop.become("vera")
    assert "Ask an administrator" in shop.get("/connect").text
    assert shop.post("/connect", app="other").status_code == 403


def created(shop: Site, **form: str) -> tuple[int, str]:
    page = shop.post("/connect", **{"app": "other", "engine": "celery"} | form)
    assert page.status_code == 200, page.headers
    found = re.search(r'hx-get="/connect/(\d+)\?', page.text)
    assert found is not None
    return int(found[1]), page.text


def test_lines_are_shown_once_and_steps_without_a_secret_afterwards(shop: Shop) -> None:
    id, page = created(shop, framework="fastapi", environment="staging")
    assert "z4a_" in page
    assert "z4p_" in page
    assert "z4j-celery z4j-fastapi" in page
    assert "Z4J_ENVIRONMENT=staging" in page
    later = shop.get(f"/connect/{id}?engine=celery&environment=staging").text
    assert "z4a_" not in later
    assert "waiting for an agent with this connection string" in later
    assert [row[1:3] for row in shop.audit()[-2:]] == [("create_token", "app:other"), ("create_token", "packages")]


def test_an_app_with_a_key_asks_for_an_existing_string(shop: Shop) -> None:
    assert "Add the key of the app" not in created(shop)[1]
    assert "Add the key of the app" in created(shop)[1]


def test_nothing_is_created_for_wrong_input(shop: Shop) -> None:
    for form in (
        {"app": ""},
        {"app": "x", "engine": "nothing"},
        {"app": "x", "framework": "rails"},
        {"app": "x", "environment": "x'; $(id)"},
    ):
        answer = shop.post("/connect", **form)
        assert (answer.status_code, answer.headers["location"]) == (303, "/connect")
    assert "create_token" not in [row[1] for row in shop.audit()]
    assert shop.get("/connect/99").status_code == 404


def test_a_command_is_sent_only_when_somebody_can_answer(shop: Shop) -> None:
    id, _ = created(shop)
    answer = shop.post(f"/connect/{id}/try", engine="celery", environment="production")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"/connect/{id}?engine=celery")
    shop.become("vera")
    assert shop.post(f"/connect/{id}/try", engine="celery", environment="production").status_code == 403


def post_at(shop: Site, host: str, app: str = "other") -> tuple[int, str]:
    headers = {"Host": host, "Origin": f"http://{host}", "Accept": "text/html"}
    answer = shop.client.post("/connect", data={"app": app, "engine": "celery"}, headers=headers, follow_redirects=False)
    return answer.status_code, answer.text


def test_the_port_that_a_browser_leaves_out_is_in_the_string(shop: Shop) -> None:
    status, page = post_at(shop, "queue.internal")
    assert status == 200
    assert "@queue.internal:80" in page


def test_nothing_is_created_for_an_address_that_is_none(shop: Shop) -> None:
    for host in ("queue.internal:99999", "[:::]", "queue.internal:0"):
        assert post_at(shop, host)[0] in (303, 403)  # an Origin in brackets that is no address is refused before
    assert "create_token" not in [row[1] for row in shop.audit()]


def test_nothing_is_created_for_a_disabled_app(shop: Shop) -> None:
    created(shop)
    id = shop.write(lambda db: apps.find_app(db, "other")).id
    assert shop.post(f"/settings/apps/{id}/disable").status_code == 303
    count = "SELECT count(*) FROM token"
    before = shop.write(lambda db: db.execute(count).fetchone()[0])
    assert shop.post("/connect", app="other", engine="celery").status_code == 303
    assert shop.write(lambda db: db.execute(count).fetchone()[0]) == before


def test_the_token_for_packages_ends_with_its_maker(shop: Shop) -> None:
    created(shop)
    rows = shop.write(lambda db: db.execute("SELECT owner_id IS NOT NULL FROM token WHERE role = 'packages'").fetchall())
    assert [tuple(row) for row in rows] == [(1,)]
