# SPDX-License-Identifier: AGPL-3.0-or-later
"""The log of messages: what was delivered, what is still pending, and why."""

from __future__ import annotations

from dataclasses import replace

from tests.support.site import text_of
from tests.unit.rules.alerts.examples import T
from tests.unit.web.pages.conftest import Shop
from z4j.store.alerts.messages import Message
from z4j.web.pages.alerts.messages import line_of

WAITING = Message("4a1b", 1, 1, "hook", "fired", {}, T, T, 0, T, None, "", "")


def test_the_log_lists_every_message(called: Shop) -> None:
    called.post("/alerts/channels/1/test")
    text = text_of(called.get("/alerts/messages"))
    for words in ("hook", "waiting", "and 1 more (shop · production)", "Test: z4j can send messages"):
        assert words in text
    assert called.get("/alerts/messages?before=odd").status_code == 400
    assert "No messages yet" in text_of(called.get("/alerts/messages?before=1-x"))


def test_delivery_in_words() -> None:
    words = {
        "": line_of(WAITING).word, "again": line_of(replace(WAITING, attempts=2)).word,
        **{outcome: line_of(replace(WAITING, outcome=outcome)).word for outcome in ("delivered", "withdrawn", "given up")},
    }  # fmt: skip
    assert words == {"": "waiting", "again": "retrying", "delivered": "delivered", "withdrawn": "withdrawn", "given up": "given up"}
