# SPDX-License-Identifier: AGPL-3.0-or-later
"""The list of incidents, and how one is started."""

from __future__ import annotations

from tests.support.site import text_of
from tests.unit.web.pages.conftest import EVIL, Shop


def test_a_record_is_started_now_or_earlier(shop: Shop) -> None:
    assert "No incidents recorded" in text_of(shop.get("/incidents"))
    shop.become("olga")
    assert shop.post("/incidents", title=EVIL, app="shop", **{"from": "20m"}).headers["location"] == "/incidents/1"
    page = shop.get("/incidents")
    assert EVIL in text_of(page)
    assert "<b onclick" not in page.text
    assert "20 m" in text_of(page).replace("\u202f", " ") or "20" in text_of(page)
    [row] = shop.get("/incidents.json").json()["incidents"]
    assert (row["app"], row["ended_at"], row["started_by"]) == ("shop", None, "olga")


def test_what_cannot_be_started_is_refused(shop: Shop) -> None:
    for began in ("soon", "2099-01-01"):
        location = shop.post("/incidents", title="x", **{"from": began}).headers["location"]
        assert "No changes were made" in text_of(shop.get(location))
    shop.become("vera")
    assert shop.post("/incidents", title="x").status_code == 403
    assert "Start a record" not in text_of(shop.get("/incidents"))
