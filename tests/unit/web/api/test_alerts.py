# SPDX-License-Identifier: AGPL-3.0-or-later
"""The API of alerts: rules with their dry run, channels, maintenance, what fired."""

from __future__ import annotations

from typing import Any

from tests.unit.operations.alerts.examples import EMAILS
from tests.unit.web.api import test_openapi
from tests.unit.web.api.test_openapi import shop
from z4j import clock

__all__ = ["shop"]
RULE = {"name": "queue", "threshold": {"measure": "depth", "limit": 100}, "channels": [1]}


def ask(shop: Any, method: str, path: str, body: Any = None) -> Any:
    return test_openapi.ask(shop, method, path, body, role="admin")


def test_rules_are_added_listed_tried_changed_and_deleted(shop: Any) -> None:
    made = ask(shop, "POST", "/alert-channels", {"name": "hook", "kind": "webhook", "url": "https://hooks.example/canary"})
    assert (made.status_code, made.json()) == (201, {"id": 1})
    assert ask(shop, "POST", "/alert-rules", RULE).json() == {"id": 1}
    [rule] = ask(shop, "GET", "/alert-rules").json()["rules"]
    assert rule["rule"]["threshold"] == {"measure": "depth", "limit": 100.0}
    tried = ask(shop, "POST", "/alert-rules/dry-run", {"rule": RULE}).json()
    assert (tried["fired"], tried["why"]) == ([], "Only the last two days were checked: minute statistics are kept for two days.")
    assert ask(shop, "POST", "/alert-rules/1", {**RULE, "name": "renamed"}).json() == {"id": 1}
    assert ask(shop, "POST", "/alert-rules/1/delete").json() == {"id": 1}
    assert ask(shop, "POST", "/alert-rules", {**RULE, "channels": [9]}).status_code == 400
    assert ask(shop, "POST", "/alert-rules", {"name": "x", "colour": "red"}).status_code == 400


def test_channels_have_no_secrets_and_are_tested(shop: Any) -> None:
    ask(shop, "POST", "/alert-channels", {"name": "hook", "kind": "webhook", "url": "https://hooks.example/canary"})
    answer = ask(shop, "GET", "/alert-channels")
    assert answer.json()["channels"][0]["shown"] == "https://hooks.example/…"
    assert "canary" not in answer.text
    assert ask(shop, "POST", "/alert-channels/1", {"name": "renamed", "kind": "webhook"}).json() == {"id": 1}
    assert len(ask(shop, "POST", "/alert-channels/1/test").json()["message"]) == 32


def test_what_fired_is_listed_and_acknowledged(shop: Any) -> None:
    ask(shop, "POST", "/alert-rules", {"name": "everything"})
    shop.call(shop.server.alerts.round, [EMAILS], clock.now())
    [alert] = ask(shop, "GET", "/alerts").json()["open"]
    assert ask(shop, "POST", f"/alerts/{alert['id']}/acknowledge").json()["acknowledged_by"]
    assert ask(shop, "GET", f"/alerts/{alert['id']}").json()["acknowledged_at"] is not None
    assert ask(shop, "POST", f"/alerts/{alert['id']}/acknowledge").status_code == 409
    assert ask(shop, "GET", "/alerts?before=1-1").json() == {"open": [], "over": [], "before": None}


def test_maintenance_begins_and_ends(shop: Any) -> None:
    ends = clock.now() + 3_600_000_000
    assert ask(shop, "POST", "/maintenance", {"ends_at": ends, "app": "shop"}).json() == {"id": 1}
    assert ask(shop, "POST", "/maintenance/1/end").json() == {"id": 1}
    assert ask(shop, "POST", "/maintenance/1/end").status_code == 409
    assert ask(shop, "POST", "/maintenance", {"ends_at": 1}).status_code == 400
