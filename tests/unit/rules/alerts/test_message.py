# SPDX-License-Identifier: AGPL-3.0-or-later
"""What messages say, to people and to programs."""

from __future__ import annotations

from typing import Any

from tests.unit.rules.alerts.examples import HOUR, MINUTE, SHOP, T, at_once, match
from z4j.rules.alerts.alert_states import Alert, Item
from z4j.rules.alerts.message import SHOWN, body, delivered, text

RULE = at_once(name="production", severity="critical")


def alert(count: int, **more: Any) -> Alert:
    items = tuple(Item(match(f"f{n}", level="warn" if n else "bad"), T) for n in range(count))
    return Alert(SHOP, T, "bad", items, T, **more)


def test_a_message_names_the_worst_and_how_many_more() -> None:
    made = body("fired", RULE, alert(3), T)
    assert made["title"] == "f0 is wrong and 2 more (shop · production)"
    assert (made["rule"], made["severity"], made["level"], made["more"]) == ("production", "critical", "bad", 0)
    assert [each["title"] for each in made["findings"]] == ["f0 is wrong", "f1 is wrong", "f2 is wrong"]


def test_a_burst_is_short() -> None:
    made = body("fired", RULE, alert(10_000), T)
    assert (len(made["findings"]), made["more"]) == (SHOWN, 10_000 - SHOWN)
    assert "and 9,990 more findings." in text(delivered(made, id="m", alert=1, address="", acknowledge=""))


def test_the_end_says_what_it_was_and_how_long() -> None:
    over = Alert(SHOP, T, "bad", (Item(match("f0"), T, T + HOUR), Item(match("f1"), T, T + MINUTE)), T, resolved_at=T + HOUR)
    made = body("resolved", RULE, over, T + HOUR)
    assert made["title"] == "Resolved: f0 is wrong and 1 more (shop · production)"
    assert [each["ended_at"] for each in made["findings"]] == [T + HOUR, T + MINUTE]
    assert "ended after 1\u202fh\u202f00\u202fm" in text(delivered(made, id="m", alert=1, address="", acknowledge=""))


def test_what_is_over_is_not_in_a_reminder() -> None:
    made = body("reminder", RULE, Alert(SHOP, T, "bad", (Item(match("f0"), T), Item(match("f1"), T, T + 1)), T), T)
    assert (made["title"], len(made["findings"])) == ("Reminder: f0 is wrong (shop · production)", 1)


def test_links_are_whole_and_the_id_is_in_it() -> None:
    made = delivered(body("fired", RULE, alert(1), T), id="4a1b", alert=12, address="https://z4j.example", acknowledge="/acknowledge/xyz")
    assert (made["id"], made["alert"], made["url"]) == ("4a1b", 12, "https://z4j.example/alerts/12")
    assert made["findings"][0]["url"] == "https://z4j.example/f0"
    assert "href" not in made["findings"][0]
    lines = text(made).splitlines()
    assert "Acknowledge: https://z4j.example/acknowledge/xyz" in lines
    assert lines[-1] == "Message 4a1b"


def test_a_message_about_no_alert_has_no_links() -> None:
    made = delivered(
        {"kind": "test", "title": "Test", "text": "It works.", "findings": [], "more": 0}, id="m", alert=None, address="x", acknowledge=""
    )
    assert text(made) == "It works.\nMessage m"
    assert "url" not in made
