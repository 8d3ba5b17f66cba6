# SPDX-License-Identifier: AGPL-3.0-or-later
"""The order of a record, and its Markdown: nothing that an application wrote is read as Markdown."""

from __future__ import annotations

import msgspec

from tests.unit.rules.alerts.examples import HOUR, MINUTE, T
from z4j.formats import absolute
from z4j.rules.incidents.record import WORDS, Curve, ErrorSeen, Event, Record, in_order, markdown

EVIL = "a|b\n# head [x](javascript:1) <b>*"


def record(*events: Event, ended_at: int | None = None, **more: int) -> Record:
    errors = (ErrorSeen(7, EVIL, 12, True), ErrorSeen(8, "known", 3, False))
    return Record(
        "Mails fail", "shop", "", T, ended_at, "olga", "ann" if ended_at else "", events, errors, Curve(T, MINUTE, (3, 4), (1, 2)), **more
    )


def test_at_one_time_causes_stand_before_what_was_found() -> None:
    events = [
        Event(T, "over", "c"),
        Event(T, "finding", "b"),
        Event(T, "release", "a"),
        Event(T - 1, "note", "first"),
        Event(T, "began", "x"),
    ]
    assert [event.text for event in in_order(events)] == ["first", "x", "a", "b", "c"]


def test_markdown_has_everything_once() -> None:
    text = markdown(record(Event(T, "alert", "critical: Mails fail", href="/alerts/3"), ended_at=T + HOUR), "https://z4j.example")
    for part in (
        "# Mails fail", "- where: shop", "(1\u202fh\u202f00\u202fm)", "recorded by olga, ended by ann", "7 succeeded, 3 failed",
        "[critical: Mails fail](https://z4j.example/alerts/3)", "- known (3 failed)",
    ):  # fmt: skip
        assert text.count(part) == 1, part
    assert "ongoing" in markdown(record(), "")
    assert "2 more events not listed" in markdown(record(left_out=2), "")


def test_marks_of_github_stay_texts() -> None:
    text = markdown(record(Event(T, "note", "~~gone~~ $x$ &lt;b&gt;")), "")
    assert r"\~\~gone\~\~ \$x\$ \&lt;b\&gt;" in text


def test_texts_of_others_stay_texts() -> None:
    text = markdown(record(Event(T, "note", EVIL, who=EVIL, href="/x")), "")
    assert text.count("\n# ") == 0
    assert "<b>" not in text
    assert "](javascript" not in text.replace("\\](", "").replace("\\]", "")
    rows = [line for line in text.splitlines() if line.startswith("| 20")]
    assert len(rows) == 1
    assert rows[0].replace("\\|", "").count("|") == 5


def test_a_record_in_full() -> None:
    began, ended = absolute(T), absolute(T + HOUR)
    made = record(
        Event(T, "began", "Mails fail", "olga"), Event(T + MINUTE, "over", "queue grows", href="/queues/a"), ended_at=T + HOUR, left_out=1
    )
    assert markdown(made, "https://z4j.example") == (
        "# Mails fail\n\n- where: shop\n"
        f"- from {began} to {ended} (1\u202fh\u202f00\u202fm)\n- recorded by olga, ended by ann\n"
        "- tasks during the incident: 7 succeeded, 3 failed\n\n## What happened\n\n| time | | what | who |\n|---|---|---|---|\n"
        f"| {began} | began | Mails fail | olga |\n"
        f"| {absolute(T + MINUTE)} | finding ended | [queue grows](https://z4j.example/queues/a) |  |\n"
        "\n1 more event not listed.\n\n## Errors\n\n"
        "- new: a\\|b \\# head \\[x\\](javascript:1) \\<b\\>\\* (12 failed)\n- known (3 failed)\n"
    )


def test_an_empty_record() -> None:
    made = Record("x", "", "", T, None, "olga", "", (), (), Curve(T, MINUTE))
    text = markdown(made, "")
    assert "- where: every app\n" in text
    assert f"to {absolute(None)} (ongoing)" in text
    assert text.endswith("|---|---|---|---|\n\n## Errors\n\nNone.\n")
    assert "- recorded by olga\n" in text
    assert made.left_out == 0
    assert "- where: shop · staging\n" in markdown(msgspec.structs.replace(made, app="shop", environment="staging"), "")


def test_kinds_of_events_in_words_and_in_order() -> None:
    assert WORDS == {
        "finding": "finding began", "over": "finding ended", "error": "new error", "release": "release", "action": "action",
        "alert": "alert", "note": "note", "began": "began", "ended": "ended",
    }  # fmt: skip
    events = [Event(T, kind, kind) for kind in WORDS]
    order = ["began", "release", "action", "error", "finding", "alert", "note", "over", "ended"]
    assert [event.kind for event in in_order(events)] == order
    assert [event.kind for event in in_order(events[::-1])] == order
    assert (events[0].who, events[0].href) == ("", "")
