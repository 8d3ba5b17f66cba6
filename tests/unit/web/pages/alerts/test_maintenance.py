# SPDX-License-Identifier: AGPL-3.0-or-later
"""Maintenance: begun and ended by an operator, of an app or of everything."""

from __future__ import annotations

from tests.support.site import text_of
from tests.unit.web.pages.conftest import EVIL, Shop


def notice(shop: Shop, path: str, **form: str) -> str:
    return text_of(shop.get(shop.post(path, **form).headers["location"]))


def test_maintenance_begins_now_or_later_and_ends(called: Shop) -> None:
    called.become("olga")
    assert "No maintenance" in text_of(called.get("/alerts/maintenance"))
    assert "Maintenance began" in notice(called, "/alerts/maintenance", lasts="3600", app="shop", reason=EVIL)
    page = called.get("/alerts/maintenance")
    assert EVIL in text_of(page)
    assert "<b onclick" not in page.text
    assert "Maintenance began" in notice(called, "/alerts/maintenance", lasts="1800", **{"from": "2099-01-01T10:00"})
    assert "scheduled" in text_of(called.get("/alerts/maintenance"))
    assert "Maintenance ended" in notice(called, "/alerts/maintenance/1/end")
    assert "No changes were made" in notice(called, "/alerts/maintenance/1/end")


def test_what_is_no_time_is_refused(called: Shop) -> None:
    for form in ({"lasts": ""}, {"lasts": "x"}, {"lasts": "60", "from": "1999-01-01T10:00"}, {"lasts": "60", "from": "tomorrow"}):
        assert "No changes were made" in notice(called, "/alerts/maintenance", **form)
    called.become("vera")
    assert called.post("/alerts/maintenance", lasts="60").status_code == 403
    assert "Start maintenance" not in text_of(called.get("/alerts/maintenance"))
