# SPDX-License-Identifier: AGPL-3.0-or-later
"""Links to other tools as an administrator sets them, and what the audit log says of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.support.site import Site, site
from z4j import clock
from z4j.web.auth import authentication
from z4j.web.frame.forms import NOTICE_COOKIE

URL = "https://tracing.example/trace/{trace_id}"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(authentication, "FLOOR_S", 0.0)
    with site(tmp_path) as made:
        for name, role in (("ada", "admin"), ("olga", "operator")):
            made.add_user(name, role)
        made.sign_in("ada")
        yield made
        clock.use()


def change(shop: Site, path: str, **form: str) -> str:
    answer = shop.post(path, **form)
    assert answer.status_code == 303, answer.text
    return unquote(answer.cookies.get(NOTICE_COOKIE) or "")


def test_a_link_is_added_and_deleted_each_with_its_audit_row(shop: Site) -> None:
    assert "Trace was added" in change(shop, "/settings/links", name="Trace", url=URL)
    assert shop.audit()[-1] == ("ada", "change_link", "link:Trace", "done", {"url": URL, "change": "added"})
    page = shop.get("/settings/links").text
    assert URL in page
    assert "Trace was deleted" in change(shop, "/settings/links/1/delete")
    assert shop.audit()[-1] == ("ada", "change_link", "link:Trace", "done", {"url": URL, "change": "deleted"})
    assert "does not exist" in change(shop, "/settings/links/1/delete")


def test_what_is_wrong_is_said_and_nothing_changes(shop: Site) -> None:
    assert "https:// or http://" in change(shop, "/settings/links", name="Bad", url="javascript:alert({trace_id})")
    change(shop, "/settings/links", name="Trace", url=URL)
    assert "already" in change(shop, "/settings/links", name="Trace", url=URL)
    assert [row[3] for row in shop.audit() if row[1] == "change_link"] == ["done"]


def test_only_an_administrator_may_change_links(shop: Site) -> None:
    shop.sign_in("olga")
    assert shop.post("/settings/links", name="Trace", url=URL).status_code == 403
