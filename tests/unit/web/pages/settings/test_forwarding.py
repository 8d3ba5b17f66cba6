# SPDX-License-Identifier: AGPL-3.0-or-later
"""Settings, Forwarding: the form, the list with its states, the log of webhooks, and the same by the API."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.endpoints import endpoint
from tests.support.site import text_of
from tests.unit.web.pages.conftest import EVIL, Shop
from z4j import clock
from z4j.operations.forwarding.service import Forwarder


def deliver(shop: Shop) -> None:
    forwarder: Forwarder = shop.server.forwarder
    shop.call(forwarder.round, clock.now())
    shop.call(forwarder.settle)


def test_without_targets_the_page_says_what_one_is(shop: Shop) -> None:
    text = text_of(shop.get("/settings/forwarding"))
    assert "No targets yet" in text
    assert "Prometheus reads /metrics" in text


def test_a_target_is_added_tested_changed_and_deleted(shop: Shop, tmp_path: Path) -> None:
    added = shop.post("/settings/forwarding", name=EVIL, kind="json", url="file:audit", audit="yes", actions="sign_in delete_*")
    assert added.status_code == 303
    page = shop.get("/settings/forwarding")
    assert "file:audit" in text_of(page)
    assert "<b onclick" not in page.text
    assert "2 patterns of the audit log" in text_of(page)
    assert "The test message was sent" in text_of(shop.get(shop.post("/settings/forwarding/1/test").headers["location"]))
    assert json.loads((tmp_path / "forwarded/audit.jsonl").read_text().splitlines()[-1])["stream"] == "test"
    shop.post("/settings/forwarding/1", name="file", kind="json", url="", audit="yes", alerts="yes")
    assert "audit log , alerts" in text_of(shop.get("/settings/forwarding"))
    shop.post("/settings/forwarding/1/disable")
    assert "disabled" in text_of(shop.get("/settings/forwarding"))
    shop.post("/settings/forwarding/1/enable")
    shop.post("/settings/forwarding/1/delete")
    assert "No targets yet" in text_of(shop.get("/settings/forwarding"))


def test_what_is_wrong_is_said(shop: Shop) -> None:
    for form, words in (
        ({"kind": "mail", "url": "x"}, "Unknown kind of target"),
            ({"kind": "syslog", "url": "https://h"}, "is not a valid address for syslog"),
        ({"kind": "json", "url": "file:../x"}, "is not a valid file name"), ({"kind": "webhook", "url": "x"}, "A webhook is an address"),
        ({"kind": "json", "url": "file:a", "actions": "A[]"}, "is not a valid action pattern"),
    ):  # fmt: skip
        answer = shop.post("/settings/forwarding", name="x", audit="yes", **form)
        assert words in text_of(shop.get(answer.headers["location"])), words
    assert "Nothing would be forwarded" in text_of(
        shop.get(shop.post("/settings/forwarding", name="x", kind="json", url="file:a").headers["location"])
    )


def test_deliveries_of_webhooks_are_listed(shop: Shop) -> None:
    with endpoint() as hook:
        shop.post(
            "/settings/forwarding", name="hook", kind="webhook", url=f"{hook.url}/canary-path", audit="yes", actions="change_maintenance"
        )
        shop.post("/alerts/maintenance", lasts="3600", reason="upgrade")
        hook.statuses += [500]
        deliver(shop)
        page = shop.get("/settings/forwarding")
        assert "retrying" in text_of(page)
        assert "The server answered with status 500" in text_of(page)
        assert "canary" not in page.text
        [item] = shop.get("/api/v1/forwarding").json()["targets"]
        assert (item["waiting_audit"] > 0, item["failing_since"] is None) == (True, False)
        shop.write(lambda db: db.execute("UPDATE forward_target SET next_at = 0").rowcount)
        deliver(shop)
        assert "delivered" in text_of(shop.get("/settings/forwarding"))
        assert [body["action"] for body in hook.bodies] == ["change_maintenance"] * 2


def test_roles(shop: Shop) -> None:
    shop.post("/settings/forwarding", name="file", kind="json", url="file:audit", audit="yes")
    shop.become("otto")
    text = text_of(shop.get("/settings/forwarding"))
    assert "file:audit" in text
    assert "Add a target" not in text
    assert shop.post("/settings/forwarding/1/test").status_code == 403
    shop.become("vera")
    assert shop.get("/settings/forwarding").status_code == 403
