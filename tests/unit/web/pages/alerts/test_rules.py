# SPDX-License-Identifier: AGPL-3.0-or-later
"""Rules: the list, the form, what a rule would have done, roles."""

from __future__ import annotations

from tests.support.site import text_of
from tests.unit.rules.alerts.examples import at_once
from tests.unit.web.pages.conftest import EVIL, Shop
from z4j.rules.alerts.threshold_measures import Threshold
from z4j.web.pages.alerts.rules import about


def test_a_rule_is_listed_changed_and_deleted(called: Shop) -> None:
    assert "everything" in text_of(called.get("/alerts/rules"))
    page = text_of(called.get("/alerts/rules/1"))
    assert "Rule everything" in page
    assert called.post("/alerts/rules/1", name="renamed", about="depth", limit="100", severity="warning", level="bad").status_code == 303
    text = text_of(called.get("/alerts/rules"))
    assert "renamed" in text
    assert "waiting tasks above 100" in text
    assert called.post("/alerts/rules/1/delete").status_code == 303
    assert "No rules yet" in text_of(called.get("/alerts/rules"))
    assert called.get("/alerts/rules/1").status_code == 404


def test_what_a_rule_would_have_done_is_shown_before_it_is_saved(called: Shop) -> None:
    answer = called.post("/alerts/rules/new", action="try", name="new", about="findings", severity="warning", level="warn")
    assert answer.status_code == 200
    assert "Would have fired 0 times" in text_of(answer)
    assert 'value="new"' in answer.text
    assert "renamed" not in text_of(called.get("/alerts/rules"))


def test_a_form_that_is_refused_is_shown_again(called: Shop) -> None:
    answer = called.post("/alerts/rules/new", name=EVIL, about="depth", limit="many", severity="warning", level="warn")
    assert answer.status_code == 400
    assert "must be a number" in text_of(answer)
    assert EVIL in text_of(answer) or EVIL.replace('"', "&#34;") not in answer.text
    assert "<b onclick" not in answer.text


def test_only_administrators_change_rules(called: Shop) -> None:
    called.become("olga")
    assert called.get("/alerts/rules/new").status_code == 403
    assert called.post("/alerts/rules/1", name="x").status_code == 403
    assert "Save rule" not in text_of(called.get("/alerts/rules/1"))


def test_what_a_rule_is_about_in_words() -> None:
    assert about(at_once()) == "any finding"
    assert about(at_once(level="bad")) == "any critical finding"
    assert about(at_once(kinds=("error", "slow", "disk"))) == "new, regressed or rising error, task is slower than usual and 1 more kind"
    assert about(at_once(threshold=Threshold("failures", 3))) == "failed runs above 3 in 5\u202fm\u202f00\u202fs"
