# SPDX-License-Identifier: AGPL-3.0-or-later
"""The list of releases, and one that is marked by hand."""

from __future__ import annotations

from tests.support.site import text_of
from tests.unit.web.pages.conftest import EVIL, Shop


def test_a_release_is_marked_and_listed(empty: Shop) -> None:
    assert "No releases yet" in text_of(empty.get("/releases"))
    empty.become("olga")
    assert empty.post("/releases", release=f"2.0/{EVIL}", app="shop", environment="production").status_code == 303
    page = empty.get("/releases")
    assert EVIL in text_of(page)
    assert "<b onclick" not in page.text
    [row] = empty.get("/releases.json").json()["releases"]
    assert (row["release"], row["app"], row["environment"]) == (f"2.0/{EVIL}", "shop", "production")
    assert empty.get("/releases.json?before=1").json() == {"releases": [], "before": None}


def test_what_cannot_be_marked_is_refused(empty: Shop) -> None:
    for form in ({"release": "", "app": "shop"}, {"release": "1.0", "app": "nobody"}, {"release": "a" * 201, "app": "shop"}):
        assert "No changes were made" in text_of(empty.get(empty.post("/releases", **form).headers["location"]))
    empty.become("vera")
    assert empty.post("/releases", release="1.0", app="shop").status_code == 403
    assert "Mark a release" not in text_of(empty.get("/releases"))
