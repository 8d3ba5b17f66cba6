# SPDX-License-Identifier: AGPL-3.0-or-later
"""Apps, tokens and users as an administrator changes them on the pages, with what the audit log says of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.support.site import PASSWORD, Site, site, text_of
from z4j import clock
from z4j.agents.tokens import find_token
from z4j.store.access import tokens, users
from z4j.web.auth import authentication
from z4j.web.frame.forms import NOTICE_COOKIE
from z4j.web.pages.settings.connection_strings import make_api_token


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(authentication, "FLOOR_S", 0.0)
    with site(tmp_path) as made:
        made.add_user("ada", "admin")
        made.sign_in("ada")
        yield made
        clock.use()


def change(shop: Site, path: str, **form: str) -> str:
    """Posts, and returns the notice that the page after it shows."""
    answer = shop.post(path, **form)
    assert answer.status_code == 303, answer.text
    return unquote(answer.cookies.get(NOTICE_COOKIE) or "")


def last_audit(shop: Site) -> tuple[str, str, str, str, dict[str, object]]:
    return shop.audit()[-1]


def roles(shop: Site) -> dict[str, tuple[str, bool]]:
    return {row.name: (row.role, row.disabled_at is None) for row in shop.call(users.list_users, shop.server.store)}


# -- users -----------------------------------------------------------------------------------------------------------------


def test_a_user_is_added_changed_disabled_and_let_in_again(shop: Site) -> None:
    assert "vera was added as viewer" in change(shop, "/settings/users", name=" vera ", role="viewer", password=PASSWORD)
    assert last_audit(shop) == ("ada", "add_user", "user:vera", "done", {"role": "viewer"})
    assert "is now operator" in change(shop, "/settings/users/2/role", role="operator")
    assert last_audit(shop) == ("ada", "set_role", "user:vera", "done", {"role": "operator"})
    assert "signed out everywhere" in change(shop, "/settings/users/2/disable")
    assert roles(shop)["vera"] == ("operator", False)
    assert "disabled" in shop.get("/settings/users").text
    assert "vera was enabled" in change(shop, "/settings/users/2/enable")
    assert roles(shop)["vera"] == ("operator", True)
    assert [row[1] for row in shop.audit()[-2:]] == ["disable_user", "enable_user"]


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"name": "ADA", "role": "viewer", "password": PASSWORD}, "A user ADA already exists"),
        ({"name": "vera", "role": "king", "password": PASSWORD}, "Unknown role"),
        ({"name": "vera", "role": "viewer", "password": "short"}, "at least 12"),
        ({"name": " ", "role": "viewer", "password": PASSWORD}, "1 to 60"),
        ({}, "1 to 60"),
    ],
)
def test_a_user_that_cannot_be_added(shop: Site, form: dict[str, str], said: str) -> None:
    before = len(shop.audit())
    assert said in change(shop, "/settings/users", **form)
    assert list(roles(shop)) == ["ada"]
    [row] = shop.audit()[before:]
    assert row[:4] == ("ada", "request", "/settings/users", "refused")
    assert said in row[4]["why"]


def test_the_last_administrator_stays(shop: Site) -> None:
    assert "only administrator" in change(shop, "/settings/users/1/disable")
    assert "only administrator" in change(shop, "/settings/users/1/role", role="viewer")
    assert "Unknown role" in change(shop, "/settings/users/1/role", role="king")
    assert "This user does not exist" in change(shop, "/settings/users/99/role", role="viewer")
    assert roles(shop) == {"ada": ("admin", True)}
    shop.add_user("bob", "admin")
    assert "is now viewer" in change(shop, "/settings/users/1/role", role="viewer")
    assert shop.get("/settings/users").status_code == 403  # from the next request on


# -- tokens ----------------------------------------------------------------------------------------------------------------


def made_token(shop: Site, **form: str) -> str:
    answer = shop.post("/settings/tokens", **form)
    assert answer.status_code == 200
    found = re.search(r"z4k_[A-Za-z0-9_-]+", answer.text)
    assert found is not None
    return found[0]


def test_an_api_token_is_shown_once_and_stops_when_revoked(shop: Site) -> None:
    token = made_token(shop, label="script", role="auditor", days="")
    assert token not in shop.get("/settings/tokens").text
    assert last_audit(shop)[:4] == ("ada", "create_token", "api:script", "done")
    shop.forget()
    assert shop.get("/changes/audit.json", Authorization=f"Bearer {token}").status_code == 200
    assert shop.client.post("/connect", data={"app": "x"}, headers={"Authorization": f"Bearer {token}"}).status_code == 403
    shop.sign_in("ada")
    assert "was revoked" in change(shop, "/settings/tokens/1/revoke")
    assert "already" in change(shop, "/settings/tokens/1/revoke")
    assert [row[1] for row in shop.audit()].count("revoke_token") == 1
    assert shop.get("/tasks.json", Authorization=f"Bearer {token}").status_code == 401  # whatever the cookie says


def test_an_api_token_ends_on_its_day(shop: Site) -> None:
    _, token = shop.call(make_api_token, shop.server.store, "script", "viewer", 1, "test")
    at = clock.now()
    shop.forget()
    for later_s, status in ((86_000, 200), (86_401, 401)):
        clock.use(lambda later_s=later_s: (at + later_s * 1_000_000) * 1000)  # type: ignore[misc]
        assert shop.get("/tasks.json", Authorization=f"Bearer {token}").status_code == status


@pytest.mark.parametrize("form", [{"days": "soon"}, {"days": "-1"}, {"days": "0"}, {"role": "king"}, {"label": ""}])
def test_a_token_that_cannot_be_made(shop: Site, form: dict[str, str]) -> None:
    change(shop, "/settings/tokens", **({"label": "script", "role": "viewer", "days": "9"} | form))
    assert shop.call(tokens.list_tokens, shop.server.store) == []


def test_only_hashes_of_tokens_are_kept(shop: Site, tmp_path: Path) -> None:
    token = made_token(shop, label="script", role="viewer", days="9")
    page = shop.post("/connect", app="shop").text
    agent = re.search(r"z4a_[A-Za-z0-9_-]+", page)
    assert agent is not None
    shop.call(shop.server.store.checkpoint)
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert token.encode() not in kept
    assert agent[0].encode() not in kept


# -- apps ------------------------------------------------------------------------------------------------------------------


def test_an_app_gets_its_seal_key_with_its_first_token_only(shop: Site) -> None:
    first = shop.post("/connect", app="shop")
    url = re.search(r"z4j(?:\+ws)?://(z4a_[A-Za-z0-9_-]+)(\.[A-Za-z0-9_-]+)?@", first.text)
    assert url is not None
    assert url[2]
    second = shop.post("/connect", app="shop")
    again = re.search(r"z4j(?:\+ws)?://(z4a_[A-Za-z0-9_-]+)(\.[A-Za-z0-9_-]+)?@", second.text)
    assert again is not None
    assert not again[2]
    made = [row[1:4] for row in shop.audit()[-4:]]
    assert made == [("create_token", "app:shop", "done"), ("create_token", "packages", "done")] * 2
    for found in (url, again):
        owner = shop.call(find_token, shop.server.store, found[1])
        assert owner is not None
        assert owner.app == "shop"
    assert shop.call(find_token, shop.server.store, "z4a_nothing") is None
    assert url[1] not in shop.get("/settings/apps").text
    shop.post("/settings/tokens/1/revoke")
    assert shop.call(find_token, shop.server.store, url[1]) is None


def test_an_app_needs_a_name(shop: Site) -> None:
    assert "1 to 60" in change(shop, "/connect", app="")


def test_others_read_what_they_may_and_change_nothing(shop: Site) -> None:
    shop.add_user("otto", "auditor")
    shop.forget()
    shop.sign_in("otto")
    page = shop.get("/settings/users")
    assert "Add a user" not in text_of(page)
    assert shop.post("/settings/users", name="eve", role="admin", password=PASSWORD).status_code == 403
    assert "eve" not in roles(shop)
