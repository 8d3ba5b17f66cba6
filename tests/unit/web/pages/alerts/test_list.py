# SPDX-License-Identifier: AGPL-3.0-or-later
"""The list of alerts and one of them: states in words, roles, hostile names, JSON."""

from __future__ import annotations

from tests.support.site import text_of
from tests.unit.operations.alerts.examples import at
from tests.unit.rules.alerts.examples import finding
from tests.unit.web.pages.alerts.conftest import fire
from tests.unit.web.pages.conftest import EVIL, Shop
from z4j import clock
from z4j_client import models
from z4j_client.decoding import decode


def test_an_alert_is_listed_until_and_after_it_is_over(called: Shop) -> None:
    page = called.get("/alerts")
    assert "1 alert open" in text_of(page)
    assert 'href="/alerts/1"' in page.text
    [row] = called.get("/alerts.json").json()["open"]
    assert (row["severity"], len(row["findings"]), row["app"], row["resolved_at"]) == ("critical", 2, "shop", None)
    fire(called)
    answer = called.get("/alerts.json").json()
    assert (answer["open"], [each["id"] for each in answer["over"]], answer["before"]) == ([], [1], None)
    assert "resolved" in text_of(called.get("/alerts"))


def test_one_alert_shows_what_it_holds_and_what_was_sent(called: Shop) -> None:
    text = text_of(called.get("/alerts/1"))
    for words in ("Emails fail", "12 of 14 failed", EVIL, "fired through hook", "everything"):
        assert words in text
    assert "<b onclick" not in called.get("/alerts/1").text
    assert "<b onclick" not in called.get("/alerts").text
    alert = decode(models.AlertDetail, called.get("/alerts/1.json").json())
    assert ([each.kind for each in alert.messages], alert.findings[0].title) == (["fired"], "Emails fail")
    assert called.get("/alerts/9").status_code == 404


def test_an_operator_acknowledges_and_a_viewer_may_not(called: Shop) -> None:
    called.become("vera")
    assert "Acknowledge" not in text_of(called.get("/alerts/1"))
    assert called.post("/alerts/1/acknowledge").status_code == 403
    called.become("olga")
    assert "Acknowledge" in text_of(called.get("/alerts/1"))
    assert called.post("/alerts/1/acknowledge", back="/alerts").headers["location"] == "/alerts"
    assert "acknowledged by olga" in text_of(called.get("/alerts"))
    assert "already" in text_of(called.get(called.post("/alerts/1/acknowledge").headers["location"]))


def test_states_are_said_in_words(called: Shop) -> None:
    called.post("/alerts/maintenance", lasts="3600", reason="upgrade")
    fire(called)
    fire(called, at(finding(), clock.now()))
    assert "delayed" in text_of(called.get("/alerts"))
    fire(called)
    assert "never fired" in text_of(called.get("/alerts"))


def test_without_rules_the_page_says_what_to_do(empty: Shop) -> None:
    assert "Add a channel" in text_of(empty.get("/alerts"))
    empty.become("vera")
    assert "Ask an administrator to add a channel" in text_of(empty.get("/alerts"))
