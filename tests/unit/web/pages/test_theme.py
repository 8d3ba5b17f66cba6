# SPDX-License-Identifier: AGPL-3.0-or-later
"""A theme is remembered in the browser, and leads back to a page of this server."""

from __future__ import annotations

import pytest

from tests.unit.web.pages.conftest import EVIL, Shop
from z4j.web.frame.render import THEME_COOKIE


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_theme_is_remembered_and_shown(shop: Shop, theme: str) -> None:
    answer = shop.post("/theme", theme=theme, back="/queues")
    assert (answer.status_code, answer.headers["location"]) == (303, "/queues")
    assert "httponly" in answer.headers["set-cookie"].lower()
    assert f'<html lang="en" data-theme="{theme}">' in shop.get("/queues").text
    shop.post("/theme", theme="system")
    assert '<html lang="en">' in shop.get("/queues").text


@pytest.mark.parametrize("theme", ["", "pink", "DARK", EVIL])
def test_another_theme_is_refused_and_nothing_is_remembered(shop: Shop, theme: str) -> None:
    answer = shop.post("/theme", theme=theme)
    assert answer.status_code == 400
    assert THEME_COOKIE not in answer.cookies
    assert EVIL not in answer.text


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:x", ""])
def test_it_leads_to_no_other_server(shop: Shop, back: str) -> None:
    location = shop.post("/theme", theme="dark", back=back).headers["location"]
    assert location.startswith("/")
    assert "evil" not in location


def test_nobody_needs_to_sign_in_for_it(shop: Shop) -> None:
    shop.forget()
    assert shop.post("/theme", theme="dark", back="/login").status_code == 303
    assert 'data-theme="dark"' in shop.get("/login").text
