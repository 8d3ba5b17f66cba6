# SPDX-License-Identifier: AGPL-3.0-or-later
"""Objects that are forwarded: identical for a copy, masked, and never longer than asked."""

from __future__ import annotations

import json
from dataclasses import replace

from z4j.rules.audit.entries import AuditRow
from z4j.rules.forwarding.events import Outgoing, of_alert, of_audit, of_test, shortened

ROW = AuditRow(7, 1_700_000_000_000_000, "ada", "admin", "sign_in", "user:ada", "done", '{"how": "password"}', "10.0.0.1", "k", b"\1" * 32)
SERVER = "https://z4j.example"


def test_a_row_of_the_audit_log() -> None:
    found = of_audit(ROW, SERVER)
    assert found.body == {
        "format": 1, "stream": "audit", "id": "audit-7-010101010101", "seq": 7, "at": "2023-11-14T22:13:20.000000Z",
        "at_us": 1_700_000_000_000_000, "server": SERVER, "actor": "ada", "role": "admin", "action": "sign_in", "target": "user:ada",
        "outcome": "done", "address": "10.0.0.1", "detail": {"how": "password"},
    }  # fmt: skip
    assert json.loads(found.text) == found.body
    assert of_audit(ROW, SERVER) == found
    assert [of_audit(replace(ROW, outcome=outcome), SERVER).severity for outcome in ("done", "refused", "failed")] == [6, 4, 3]


def test_secrets_of_an_older_log_are_masked() -> None:
    old = replace(ROW, actor="postgres://app:canary-1@db/x", target="password=canary-2", detail='{"token": "canary-3", "n": 3, "rows": 7}')
    text = of_audit(old, SERVER).text
    assert "canary" not in text
    assert '"rows":7' in text
    for damaged in ('{"x', "[1]"):
        assert of_audit(replace(ROW, detail=damaged), SERVER).body["detail"] == damaged


def test_the_text_is_one_line_of_ascii() -> None:
    found = of_audit(replace(ROW, target='a\n<13>1 - - "ü\x1b[31m\u202e'), SERVER)
    assert found.text.isascii()
    assert found.text.isprintable()


def test_an_alert() -> None:
    stored = {
        "format": 1, "kind": "fired", "rule": "all", "severity": "critical", "level": "bad", "app": "shop", "environment": "", "at": 1,
        "title": "x password=canary-4", "findings": [{"title": "t", "text": "token=canary-5canary-5", "href": "/queues/a", "since": 1}],
    }  # fmt: skip
    found = of_alert(3, 1_700_000_000_000_000, 9, "resolved", stored, SERVER)
    assert (found.body["kind"], found.body["alert"], found.body["url"], found.severity) == ("resolved", 9, f"{SERVER}/alerts/9", 5)
    assert found.body["findings"][0]["url"] == f"{SERVER}/queues/a"
    assert "canary" not in found.text
    assert of_alert(3, 1, 9, "fired", stored, SERVER).severity == 2


def test_a_long_message_says_that_it_was_shortened() -> None:
    long = of_audit(replace(ROW, detail=json.dumps({"why": "x" * 20_000})), SERVER)
    short = shortened(long, 8_000)
    assert len(short.text) <= 8_000
    assert short.body["shortened"] is True
    assert (short.id, short.body["seq"], short.body["action"]) == (long.id, 7, "sign_in")
    assert shortened(of_test(1, "ada", SERVER), 8_000) == of_test(1, "ada", SERVER)


def test_an_alert_in_full() -> None:
    stored = {
        "format": 9, "kind": "x", "rule": "all", "severity": "warning", "level": "bad", "at": 1, "title": "t",
        "findings": [{"title": "a", "text": "b", "href": "https://x/y", "since": 1}, {"title": "no link"}],
    }  # fmt: skip
    found = of_alert(3, 1_700_000_000_000_000, 9, "fired", stored, SERVER)
    assert found == Outgoing(
        "alerts", 3, "alert-3-1700000000000000", 1_700_000_000_000_000, 4, "fired",
        {
            "rule": "all", "severity": "warning", "level": "bad", "title": "t", "format": 1, "stream": "alerts",
            "id": "alert-3-1700000000000000", "seq": 3, "at": "2023-11-14T22:13:20.000000Z", "at_us": 1_700_000_000_000_000,
            "server": SERVER, "kind": "fired", "alert": 9, "url": f"{SERVER}/alerts/9",
            "findings": [{"title": "a", "text": "b", "since": 1, "url": "https://x/y"}, {"title": "no link", "url": ""}],
        },
    )  # fmt: skip
    severities = [of_alert(1, 1, 1, "fired", {"severity": word}, SERVER).severity for word in ("critical", "warning", "info", "other")]
    assert severities == [2, 4, 6, 4]
    assert of_alert(1, 1, 1, "fired", {}, SERVER).severity == 4


def test_a_test_in_full() -> None:
    at = 1_700_000_000_000_000
    assert of_test(at, "ada", SERVER) == Outgoing(
        "test", 0, f"test-{at}", at, 6, "test",
        {
            "format": 1, "stream": "test", "id": f"test-{at}", "seq": 0, "at": "2023-11-14T22:13:20.000000Z", "at_us": at,
            "server": SERVER, "text": "ada has tested this target.",
        },
    )  # fmt: skip
    assert (of_audit(ROW, SERVER).stream, of_audit(replace(ROW, outcome="unknown"), SERVER).severity) == ("audit", 5)


def test_what_is_left_out_of_a_long_message() -> None:
    message = of_test(1, "ada", SERVER)
    assert shortened(message, len(message.text)) == message
    long = message._replace(body={"findings": [1], "detail": {}, "seq": 3, "text": "x" * 301})
    assert shortened(long, 50).body == {"seq": 3, "text": "x" * 300, "shortened": True}
