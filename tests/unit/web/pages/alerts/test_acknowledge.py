# SPDX-License-Identifier: AGPL-3.0-or-later
"""The link in a message: opening it changes nothing, pressing its button does, once, without signing in."""

from __future__ import annotations

import pytest

from tests.support.site import text_of
from tests.unit.web.pages.alerts.conftest import fire
from tests.unit.web.pages.conftest import EVIL, Shop
from z4j.store.alerts import alerts


def link_of(called: Shop) -> str:
    stored = called.call(alerts.get_alert, called.server.store, 1)
    assert stored is not None
    return called.server.alert_actions.link_to_acknowledge(stored)


def test_the_code_of_a_link_is_in_no_log_and_not_in_the_audit_log(called: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """Anyone who reads a log could use the link."""
    link, path = link_of(called), called.post("/incidents", title="x").headers["location"]
    called.post(f"{path}/share")
    shared = called.server.incidents._links.code(1, 5)
    with caplog.at_level("INFO"):
        for _ in range(2):
            called.post(link)  # the second is refused, of a user who is signed in
        called.get(f"/incidents/shared/{shared}")
        called.post(f"/acknowledge/{shared}")
    records = [record.__dict__ for record in caplog.records if record.name.startswith("z4j")]
    lines = [record.get("facts", {}).get("path") for record in records]
    assert {"/acknowledge/…", "/incidents/shared/…"} <= set(lines)
    assert not any(secret in str(record) for secret in (link[13:], shared) for record in records)
    audit = called.get("/changes/audit.json").text
    assert "acknowledge/…" in audit or "acknowledge/\\u2026" in audit
    assert link[13:] not in audit
    assert shared not in audit


def test_the_link_acknowledges_when_its_button_is_pressed(called: Shop) -> None:
    link = link_of(called)
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
    for code in ("x", "MQ.aa.bb", link_of(called)[len("/acknowledge/") : -1]):
        assert called.get(f"/acknowledge/{code}").status_code == 403
        assert called.post(f"/acknowledge/{code}").status_code == 403


def test_an_alert_that_is_over_needs_nothing(called: Shop) -> None:
    link = link_of(called)
    fire(called)
    called.forget()
    assert "There is nothing to do" in text_of(called.get(link))
