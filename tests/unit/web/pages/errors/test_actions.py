# SPDX-License-Identifier: AGPL-3.0-or-later
"""The forms of errors: each changes the group, is logged, and is refused to those who may not."""

from __future__ import annotations

import pytest

from tests.support.database import T, task
from tests.support.site import text_of
from tests.unit.web.pages.conftest import Shop


def state(shop: Shop, id: int = 1) -> str:
    return str(shop.get(f"/errors/{id}.json").json()["error"]["state"])


def other_error(shop: Shop) -> None:
    shop.tell(task("failed", "o", T, T, T, 9, "", "OSError", "no", ""))


def notice(shop: Shop, path: str) -> str:
    return text_of(shop.get(path))


def test_resolve_reopen_ignore(shop: Shop) -> None:
    for form, expected in (
        ({"action": "resolve", "reason": "fixed"}, "resolved"), ({"action": "reopen"}, "unresolved"),
        ({"action": "resolve_next"}, "resolved"), ({"action": "ignore", "for": "1d", "rate": "5", "count": "9"}, "ignored"),
        ({"action": "reopen"}, "unresolved"), ({"action": "ignore"}, "ignored"),
    ):  # fmt: skip
        answer = shop.post("/errors/1/act", **form)
        assert (answer.status_code, answer.headers["location"]) == (303, "/errors/1")
        assert state(shop) == expected
    assert "fixed" in notice(shop, "/errors/1")
    shop.become("otto")
    assert "change error" in text_of(shop.get("/changes/audit"))


def test_assign_and_note_stay(shop: Shop) -> None:
    shop.post("/errors/1/act", action="assign", user="olga")
    shop.post("/errors/1/act", action="note", note="known since May", runbook="https://wiki.example/pay")
    text = shop.get("/errors/1").text
    assert "known since May" in text
    assert 'href="https://wiki.example/pay"' in text
    assert [row["id"] for row in shop.get("/errors.json?assigned=olga").json()["errors"]] == [1]
    assert "Unknown user" in notice(shop, shop.post("/errors/1/act", action="assign", user="nobody").headers["location"])


def test_merge_and_split(shop: Shop) -> None:
    other_error(shop)
    shop.post("/errors/1/act", action="merge", other="2")
    [whole] = shop.get("/errors.json").json()["errors"]
    assert (whole["id"], whole["failed"]) == (1, 4)
    assert "part of" in text_of(shop.get("/errors/2"))
    shop.post("/errors/1/act", action="split", other="2")
    assert [row["failed"] for row in shop.get("/errors.json").json()["errors"]] == [3, 1]


def test_many_at_once(shop: Shop) -> None:
    other_error(shop)
    both = "id=1&id=2&back=/errors&action={}"
    headers = {"Origin": "http://testserver", "Content-Type": "application/x-www-form-urlencoded"}

    def act(action: str) -> str:
        answer = shop.client.post("/errors/act", content=both.format(action), headers=headers, follow_redirects=False)
        assert answer.status_code == 303
        return str(answer.headers["location"])

    assert act("resolve") == "/errors"
    assert (state(shop), state(shop, 2)) == ("resolved", "resolved")
    assert act("merge") == "/errors/1"
    assert act("odd") == "/errors"
    assert "Select an error first" in notice(shop, shop.post("/errors/act", action="resolve").headers["location"])
    assert "two or more" in notice(shop, shop.post("/errors/act", action="merge", id="1").headers["location"])
    assert "no longer" not in notice(shop, shop.post("/errors/act", action="ignore", id="2").headers["location"])


def test_retry_opens_a_plan(shop: Shop) -> None:
    answer = shop.post("/errors/1/act", action="retry", reason="after the fix")
    assert answer.headers["location"] == "/plans/1"
    plan = text_of(shop.get("/plans/1"))
    assert "Retry 3 tasks" in plan
    assert "error 1: ValueError: bad" in plan


@pytest.mark.parametrize(
    "form",
    [
        {"action": "odd"}, {}, {"action": "ignore", "for": "9y"}, {"action": "ignore", "rate": "x"}, {"action": "ignore", "count": "0"},
        {"action": "note", "runbook": "javascript:alert(1)"}, {"action": "merge"}, {"action": "merge", "other": "1"}, {"action": "split"},
    ],
)  # fmt: skip
def test_what_is_not_possible_changes_nothing(shop: Shop, form: dict[str, str]) -> None:
    before = shop.get("/errors/1.json").json()["error"]
    answer = shop.post("/errors/1/act", **form)
    assert answer.status_code == 303
    assert "No changes were made" in notice(shop, "/errors/1")
    assert shop.get("/errors/1.json").json()["error"] == before


def test_a_viewer_is_refused(shop: Shop) -> None:
    shop.become("vera")
    assert shop.post("/errors/1/act", action="resolve").status_code == 403
    assert shop.post("/errors/act", action="resolve", id="1").status_code == 403
    assert state(shop) == "unresolved"
