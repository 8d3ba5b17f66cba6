# SPDX-License-Identifier: AGPL-3.0-or-later
"""Channels: no page shows a secret, an administrator changes them, a test is sent."""

from __future__ import annotations

from tests.support.site import text_of
from tests.unit.web.pages.conftest import Shop


def notice(shop: Shop, path: str, **form: str) -> str:
    return text_of(shop.get(shop.post(path, **form).headers["location"]))


def test_an_address_is_never_shown_again(called: Shop) -> None:
    page = called.get("/alerts/channels")
    assert "https://hooks.example/…" in text_of(page)
    for path in ("/alerts/channels", "/alerts/rules/1", "/alerts/messages", "/alerts.json", "/api/v1/alert-channels", "/changes/audit"):
        assert "canary-secret" not in called.get(path).text, path


def test_a_channel_is_changed_disabled_enabled_tested_and_deleted(called: Shop) -> None:
    assert "saved" in notice(called, "/alerts/channels/1", name="renamed", kind="webhook", url="", weekly="yes")
    assert "renamed" in text_of(called.get("/alerts/channels"))
    assert "disabled" in notice(called, "/alerts/channels/1/disable")
    assert "enabled" in notice(called, "/alerts/channels/1/enable")
    assert "Test message requested" in notice(called, "/alerts/channels/1/test")
    assert "uses this channel" in notice(called, "/alerts/channels/1/delete")
    called.post("/alerts/rules/1/delete")
    assert "was deleted" in notice(called, "/alerts/channels/1/delete")
    assert "No channels yet" in text_of(called.get("/alerts/channels"))
    assert "not found" in notice(called, "/alerts/channels/1/test")


def test_a_wrong_address_is_refused_with_what_to_do(called: Shop) -> None:
    assert "Use an Apprise URL" in notice(called, "/alerts/channels", name="x", kind="webhook", url="nonsense")


def test_others_neither_see_nor_change_channels(called: Shop) -> None:
    called.become("olga")
    assert called.get("/alerts/channels").status_code == 403
    assert called.post("/alerts/channels/1/test").status_code == 403
    called.become("otto")
    assert called.get("/alerts/channels").status_code == 200
    assert called.post("/alerts/channels/1/delete").status_code == 403
