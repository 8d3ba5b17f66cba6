# SPDX-License-Identifier: AGPL-3.0-or-later
"""The API of errors: what it lists, and every action with its refusals."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.web.api.test_openapi import ask, shop

__all__ = ["shop"]


def act(shop: Any, action: str, role: str = "operator", id: int = 1, **more: Any) -> Any:
    return ask(shop, "POST", f"/errors/{id}/actions", {"action": action, **more}, role)


def test_errors_are_listed_and_shown(shop: Any) -> None:
    answer = ask(shop, "GET", "/errors", role="viewer").json()
    assert [(row["title"], row["failed"], row["state"]) for row in answer["errors"]] == [("ValueError: bad", 3, "unresolved")]
    assert answer["after"] is None
    assert ask(shop, "GET", "/errors?state=resolved").json()["errors"] == []
    shown = ask(shop, "GET", "/errors/1", role="viewer").json()
    assert (shown["error"]["id"], len(shown["tasks"]), shown["places"][0]["queue"]) == (1, 3, "work")
    assert ask(shop, "GET", "/errors/9").status_code == 404
    assert ask(shop, "GET", "/errors?state=odd").status_code == 400


def test_every_action(shop: Any) -> None:
    for action, more, expected in (
        ("resolve", {"reason": "fixed"}, "resolved"), ("reopen", {}, "unresolved"), ("resolve_next", {}, "resolved"),
        ("ignore", {"for_s": 3_600, "rate": 5, "count": 100}, "ignored"), ("reopen", {}, "unresolved"),
    ):  # fmt: skip
        answer = act(shop, action, **more)
        assert answer.status_code == 200, answer.text
        assert answer.json()["error"]["state"] == expected
    act(shop, "note", note="known", runbook="https://wiki.example/")
    noted = act(shop, "note", note="known since May").json()["error"]
    assert (noted["note"], noted["runbook"]) == ("known since May", "https://wiki.example/")
    plan = act(shop, "retry", reason="after the fix").json()["plan"]
    assert (plan["status"], plan["items"]) == ("frozen", 3)
    history = ask(shop, "GET", "/errors/1").json()["actions"]
    assert [row["action"] for row in history][-2:] == ["reopened", "resolved"]


def test_a_part_is_split_off_by_the_api(shop: Any) -> None:
    answer = act(shop, "split", message="nothing*")
    assert answer.status_code == 409
    assert "None of the newest failures" in answer.text
    assert act(shop, "split", message="a", code="b").status_code == 400
    assert ask(shop, "GET", "/errors/1").json()["split_from"] is None


def test_pages_and_api_are_one(shop: Any) -> None:
    for operation, page in (
        ("/errors", "/errors.json"), ("/errors/1", "/errors/1.json"), ("/names", "/names.json"),
        ("/names/history?name=shop.ship", "/history/name.json?name=shop.ship"),
    ):  # fmt: skip
        first, second = ask(shop, "GET", operation), shop.client.get(page, headers={"Authorization": f"Bearer {shop.tokens['operator']}"})
        assert first.json().keys() == second.json().keys(), page


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"action": "odd"}, 400), ({"action": "merge"}, 400), ({"action": "merge", "other": 1}, 409),
        ({"action": "merge", "other": 9}, 404),
        ({"action": "split"}, 409), ({"action": "ignore", "for_s": -1}, 400), ({"action": "note", "runbook": "javascript:x"}, 400),
        ({"action": "assign", "user": "nobody"}, 400), ({"action": "resolve", "odd": 1}, 400),
    ],
)  # fmt: skip
def test_what_is_not_possible_is_refused(shop: Any, body: dict[str, Any], status: int) -> None:
    answer = ask(shop, "POST", "/errors/1/actions", body)
    assert answer.status_code == status
    assert ask(shop, "GET", "/errors/1").json()["actions"] == []


def test_a_viewer_may_only_read(shop: Any) -> None:
    assert act(shop, "resolve", "viewer").status_code == 403
