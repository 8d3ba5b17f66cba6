# SPDX-License-Identifier: AGPL-3.0-or-later
"""What messages say, to people and to programs."""

from __future__ import annotations

from typing import Any

from tests.unit.rules.alerts.examples import HOUR, MINUTE, SHOP, T, at_once, match
from z4j.formats import absolute
from z4j.rules.alerts.alert_decision import Alert, Item
from z4j.rules.alerts.message import SHOWN, WORDS, body, delivered, text
from z4j.rules.findings.finding import Scope

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


def test_a_message_in_full() -> None:
    stored = body("worse", RULE, alert(2), T + 1)
    assert stored == {
        "format": 1, "kind": "worse", "rule": "production", "severity": "critical", "level": "bad", "app": "shop",
        "environment": "production", "at": T + 1, "fired_at": T, "resolved_at": None, "more": 0,
        "title": "Worse: f0 is wrong and 1 more (shop · production)",
        "findings": [
            {"title": "f0 is wrong", "text": "3 of 4", "level": "bad", "since": T, "ended_at": None, "href": "/f0"},
            {"title": "f1 is wrong", "text": "3 of 4", "level": "warn", "since": T, "ended_at": None, "href": "/f1"},
        ],
    }  # fmt: skip
    ended = {**stored, "findings": [{**stored["findings"][0], "ended_at": T + HOUR}, {**stored["findings"][1], "href": "https://x/y"}]}
    at = absolute(T)
    assert text(delivered(ended, id="m1", alert=3, address="https://z4j.example", acknowledge="/ack/1")) == (
        f"- f0 is wrong: 3 of 4 (since {at}, ended after 1\u202fh\u202f00\u202fm)\n  https://z4j.example/f0\n"
        f"- f1 is wrong: 3 of 4 (since {at})\n  https://x/y\n"
        "Rule: production (critical)\nAlert: https://z4j.example/alerts/3\nAcknowledge: https://z4j.example/ack/1\nMessage m1"
    )


def test_words_before_a_title() -> None:
    assert {kind: body(kind, RULE, alert(1), T)["title"].removesuffix("f0 is wrong (shop · production)") for kind in WORDS} == {
        "fired": "", "worse": "Worse: ", "reminder": "Reminder: ", "escalated": "Escalated: ", "resolved": "Resolved: ",
        "test": "Test: ", "alive": "",
    }  # fmt: skip


def test_the_title_is_the_worst_finding_then_the_oldest() -> None:
    late = Item(match("late"), T + 2)
    early, mild = Item(match("early"), T + 1), Item(match("mild", level="warn"), T)
    for items in ((late, early, mild), (mild, early, late)):
        assert body("fired", RULE, Alert(SHOP, T, "bad", items, T), T)["title"] == "early is wrong and 2 more (shop · production)"
    nowhere = Alert(Scope(), T, "bad", (), T)
    assert body("alive", RULE, nowhere, T)["title"] == "production"
