# SPDX-License-Identifier: AGPL-3.0-or-later
"""The API of incidents."""

from __future__ import annotations

from typing import Any

from tests.unit.web.api.test_openapi import ask, shop

__all__ = ["shop"]


def test_a_record_is_started_annotated_ended_and_read(shop: Any) -> None:
    assert ask(shop, "POST", "/incidents", {"title": "Mails fail", "app": "shop"}).json() == {"id": 1}
    assert ask(shop, "POST", "/incidents/1/notes", {"text": "looking"}).status_code == 201
    ended = ask(shop, "POST", "/incidents/1/end").json()
    assert [event["kind"] for event in ended["events"]][-1] == "ended"
    assert ask(shop, "GET", "/incidents/1").json() == ended
    [row] = ask(shop, "GET", "/incidents").json()["incidents"]
    assert row["ended_at"] is not None
    assert ask(shop, "POST", "/incidents/1/end").status_code == 409
    assert ask(shop, "POST", "/incidents", {"title": "x"}, role="viewer").status_code == 403
