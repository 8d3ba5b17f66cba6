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


def stock(shop: Shop) -> None:
    """Error 2: two failures in one place, one in another; their tracebacks end in two lines."""
    frames = 'Traceback (most recent call last):\n  File "/srv/shop/tasks.py", line 3, in ship\n    {}\nStockError: no\n'
    for id, place, code in (("s1", "eu", "take()"), ("s2", "us", "take()"), ("s3", "us", "reserve()")):
        shop.tell(task("failed", id, T, T, T, 9, "", "StockError", f"no stock in '{place}'", frames.format(code)))


def test_a_part_is_split_off_and_the_split_is_undone(shop: Shop) -> None:
    stock(shop)
    page = shop.get("/errors/2").text
    for choice in ("no stock in &#39;us&#39; (2 of 3)", "shop.tasks.ship: reserve() (1 of 3)"):
        assert choice in page
    location = shop.post("/errors/2/act", action="split_off", message="*'us'", reason="two problems").headers["location"]
    assert location == "/errors/3"
    part = text_of(shop.get(location))
    assert "StockError: *'us'" in part
    assert "Split off from error 2 by message “*'us'”" in part
    assert 'href="/errors/3"' in shop.get("/errors/2").text
    shown = shop.get("/errors/3.json").json()
    assert shown["split_from"] == {
        "id": 2, "title": "StockError: no stock in", "by": "message", "pattern": "*'us'", "is_running": False
    }  # fmt: skip
    [listed] = shop.get("/errors/2.json").json()["parts"]
    assert (listed["id"], listed["by"]) == (3, "message")
    shop.become("otto")
    log = text_of(shop.get("/changes/audit"))
    assert "split off by message “*'us'”" in log
    shop.become("olga")
    assert shop.post("/errors/2/act", action="merge", other="3").headers["location"] == "/errors/2"
    assert [row["failed"] for row in shop.get("/errors.json").json()["errors"]] == [3, 3]
    assert "Split off from" not in text_of(shop.get("/errors/3"))


def test_a_split_that_is_not_possible_says_why(shop: Shop) -> None:
    stock(shop)
    for form, expected in (
        ({}, "Choose a message pattern or a line of code"), ({"message": "a", "code": "b"}, "Choose a message pattern"),
        ({"message": "*"}, "matches every message"), ({"message": "nothing*"}, "None of the newest failures"),
        ({"code": "shop.tasks.ship: gone()"}, "None of the newest failures"), ({"message": "no stock*"}, "nothing would be left"),
    ):  # fmt: skip
        where = shop.post("/errors/2/act", action="split_off", **form).headers["location"]
        assert where == "/errors/2"
        assert expected in notice(shop, where)
    assert len(shop.get("/errors.json").json()["errors"]) == 2


def test_secrets_in_a_note_are_masked_at_every_door(shop: Shop) -> None:
    secret = "hunter2hunter2"
    shop.post("/errors/1/act", action="note", note=f"restart at 3\nwith password={secret}", runbook="https://wiki.example/pay")
    for path in ("/errors/1", "/errors/1.json", "/errors.json", "/errors.csv", "/api/v1/errors", "/api/v1/errors/1", "/errors"):
        assert secret not in shop.get(path).text, path
    assert "at 3" in shop.get("/errors/1").text
    assert secret not in str(shop.call(shop.server.store.fetch_all, "SELECT note FROM error_group"))
    for runbook, expected in (
        (f"https://ann:{secret}@wiki.example/", "contains a password or a token"), ("javascript:alert(1)", "begin with https://"),
        ("ftp://wiki.example/", "begin with https://"),
    ):  # fmt: skip
        assert expected in notice(shop, shop.post("/errors/1/act", action="note", note="x", runbook=runbook).headers["location"])
    assert shop.get("/errors/1.json").json()["error"]["runbook"] == "https://wiki.example/pay"


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
