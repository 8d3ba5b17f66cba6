# SPDX-License-Identifier: AGPL-3.0-or-later
"""The link in a message: opening it changes nothing, pressing its button does, once, without signing in."""

from __future__ import annotations

from tests.support.site import text_of
from tests.unit.web.pages.alerts.conftest import fire
from tests.unit.web.pages.conftest import EVIL, Shop


def test_the_link_acknowledges_when_its_button_is_pressed(called: Shop) -> None:
    link = called.server.alert_actions.link_to_acknowledge(1)
    called.forget()
    page = called.get(link)
    assert page.status_code == 200
    assert "<b onclick" not in page.text
    assert EVIL in text_of(page) or "Emails fail" in text_of(page)
    assert "Acknowledge" in text_of(called.get(link)), "opened twice"
    assert "No more reminders are sent" in text_of(called.post(link))
    assert "Already acknowledged by link in a message" in text_of(called.get(link))
    assert called.post(link).status_code == 409
    called.sign_in()
    assert '"link in a message"' in called.get("/changes/audit.json").text


def test_other_links_do_nothing(called: Shop) -> None:
    called.forget()
    for code in ("x", "MQ.aa.bb", called.server.alert_actions.link_to_acknowledge(9).split("/")[-1]):
        assert called.get(f"/acknowledge/{code}").status_code == 403
        assert called.post(f"/acknowledge/{code}").status_code == 403


def test_an_alert_that_is_over_needs_nothing(called: Shop) -> None:
    link = called.server.alert_actions.link_to_acknowledge(1)
    fire(called)
    called.forget()
    assert "There is nothing to do" in text_of(called.get(link))
