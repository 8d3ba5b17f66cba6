# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.database import T, origin, task
from z4j.rules import records
from z4j.rules.batches import FUTURE_US, decode_records
from z4j.rules.fold import MAX_AT, Event
from z4j.rules.frames import Discovery, Goodbye, Heartbeat, Hello, decode_frame
from z4j_agent import wire

META = {
    "parent_id": "p", "root_id": "r", "group_id": "g", "retry_of": "o", "code": "a.py:1", "route": "/buy", "expires": 5,
    "priority": 0, "label": "nightly report", "depends_on": ["a", "b"],
    "redelivered": True, "eager": True, "reconciled": True, "worker": "other",
}  # fmt: skip
SENT = ("p", "r", "g", "o", "a.py:1", "/buy", 5, 0, "nightly report", "a\nb")


def decode(*entries: list[Any]) -> tuple[list[records.AnyRecord], dict[str, int]]:
    refused: dict[str, int] = {}
    payload = b"".join(wire.encode_record(entry) for entry in entries)
    return list(decode_records(payload, T, refused)), refused


def event(entry: list[Any]) -> Event:
    found, refused = decode(entry)
    assert not refused
    assert isinstance(found[0], records.TaskRecord)
    return found[0].event("w", "production")


HEAD: dict[str, Any] = {"run": "b00t.7", "worker": "w", "environment": "production", "name": "shop.ship", "queue": "work"}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (task("enqueued", "a", 1, 9), {"eta": 9}),
        (task("received", "a", 1, 9), {"eta": 9}),
        (task("started", "a", 1), {}),
        (task("succeeded", "a", 1, 2, 3, 4, "r"), {"received_at": 2, "started_at": 3, "runtime_us": 4, "result": "r"}),
        (
            task("failed", "a", 1, 2, 3, 4, "why", "E", "bad", "tb"),
            {"received_at": 2, "started_at": 3, "runtime_us": 4, "reason": "why", "error_type": "E", "error": "bad", "traceback": "tb"},
        ),
        (
            task("retried", "a", 1, 3, 4, 9, "why", "E", "bad", "tb"),
            {"eta": 9, "started_at": 3, "runtime_us": 4, "reason": "why", "error_type": "E", "error": "bad", "traceback": "tb"},
        ),
        (task("cancelled", "a", 1, 3, 4, "why", "bad"), {"started_at": 3, "runtime_us": 4, "reason": "why", "error": "bad"}),
        (task("expired", "a", 1, "why", "bad"), {"reason": "why", "error": "bad"}),
        (
            task("rejected", "a", 1, 3, 4, "why", "bad", "tb"),
            {"started_at": 3, "runtime_us": 4, "reason": "why", "error": "bad", "traceback": "tb"},
        ),
        (task("cancel_asked", "a", 1, "c1"), {}),
        (task("lost", "a", 1, "child_killed", "gone"), {"reason": "child_killed", "error": "gone"}),
        (task("payload", "a", 1, 2, "[1]", True, ["k", "AA=="], "sealed"), {"rank": 2, "args": "[1]", "is_masked": True, "original": 4}),
        (task("payload", "a", 1, 2, None, False, None, "sealed"), {"rank": 2}),
        (task("payload", "a", 1, 2, None, False, None, "too_large"), {"rank": 2, "original": 1}),
        (task("payload", "a", 1, 2, None, False, None, "unheard of"), {"rank": 2}),
    ],
)
def test_every_kind_becomes_its_event(entry: list[Any], expected: dict[str, Any]) -> None:
    assert event(entry) == Event(entry[0], 0, 1, **(HEAD | expected))


@pytest.mark.parametrize("kind", [kind for kind, fields in wire.TASK_RECORDS.items() if "meta" in fields])
def test_every_kind_with_facts_tells_them(kind: str) -> None:
    entry = [*task(kind, "a", 1)[:-1], META]
    assert event(entry) == Event(kind, 0, 1, **(HEAD | {"worker": "other"}), sent=SENT, flags=7)


def test_all_kinds_of_the_wire_are_known() -> None:
    agents = set(wire.TASK_RECORDS) - wire.SERVER_ONLY
    for kind in agents - {"payload"}:
        assert event(task(kind, "a", 1)).kind == kind
    found, refused = decode(*(task(kind, "a", 1) for kind in wire.SERVER_ONLY))
    assert (found, refused) == ([], {"server_only": len(wire.SERVER_ONLY)})


def test_a_task_that_is_its_own_root_says_nothing_by_it() -> None:
    assert event([*task("enqueued", "a", 1)[:-1], {"root_id": "a"}]).sent == ()
    assert event([*task("enqueued", "a", 1)[:-1], {}]).sent == ()


def test_attempts_beyond_the_limit_are_counted_as_the_last() -> None:
    assert event(task("started", "a", 1, attempt=70_000)).attempt == 4_095
    assert event(task("payload", "a", 1, 1, "", False, None, "none", attempt=70_000)).attempt == 4_095


def test_long_texts_are_cut_and_nul_is_shown() -> None:
    cut = event(task("failed", "a", 1, None, None, None, "r" * 999, "e" * 999, "x" * 9_999, "t" * 99_999))
    assert [len(text) for text in (cut.reason, cut.error_type, cut.error, cut.traceback)] == [200, 200, 4_000, 64_000]
    assert cut.error.endswith("…")
    assert records.text("x" * 10, 10) == "x" * 10
    assert records.text(None, 10) == ""
    assert event(task("succeeded", "a", 1, None, None, None, "a\0b")).result == "a␀b"


BASE = task("started", "a", 1)


@pytest.mark.parametrize(
    ("entry", "cause"),
    [
        ([*BASE[:2], "", *BASE[3:]], "limits"),
        ([*BASE[:2], "i" * 256, *BASE[3:]], "limits"),
        ([*BASE[:3], -1, *BASE[4:]], "limits"),
        ([*BASE[:4], -1, *BASE[5:]], "limits"),
        ([*BASE[:4], MAX_AT, *BASE[5:]], "limits"),
        ([*BASE[:4], 1.5, *BASE[5:]], "malformed"),
        ([*BASE[:4], "1", *BASE[5:]], "malformed"),
        ([*BASE[:4], 10**30, *BASE[5:]], "limits"),
        ([*BASE[:4], T + FUTURE_US + 1, *BASE[5:]], "future"),
        ([*BASE[:8], []], "malformed"),
        ([*BASE[:8], {"priority": "high"}], "malformed"),
        (BASE[:5], "malformed"),
        (["unheard", *BASE[1:]], "malformed"),
        ([1, *BASE[1:]], "malformed"),
        ([], "malformed"),
        ([*BASE[:7], "\udc00", None], "malformed"),
        ([*BASE[:8], {"code": "a\0"}], "nul"),
        ([*BASE[:2], "a\0", *BASE[3:]], "nul"),
        (origin(host="a\0"), "nul"),
        (["command", "c\0", 1, "done", {}], "nul"),
        (["gap", "k", 1, {"cause": "\0"}], "nul"),
        (["fault", "k\0", 1, {}], "nul"),
        (task("payload", "a", 1, 2, "", False, [None, "not base64!"], "plain"), "malformed"),
    ],
)
def test_what_cannot_be_used_is_counted_by_cause(entry: list[Any], cause: str) -> None:
    good = task("started", "b", 1)
    found, refused = decode(good, entry, good)
    assert refused == {cause: 1}
    assert len(found) == 2


def test_the_last_moment_that_is_not_the_future() -> None:
    assert decode(task("started", "a", T + FUTURE_US))[1] == {}


def test_unknown_facts_and_trailing_fields_are_left_for_newer_servers() -> None:
    assert event([*task("started", "a", 1)[:-1], {"colour": "red"}, "more"]) == Event("started", 0, 1, **HEAD)


def test_nul_in_a_text_beside_clean_names_is_no_reason_to_refuse() -> None:
    found, refused = decode(task("succeeded", "a", 1, None, None, None, "\0"), origin(), ["fault", "k", 1, {"error": "\0"}])
    assert (len(found), refused) == (3, {})


@pytest.mark.parametrize(
    ("payload", "cause"),
    [
        (b"", None),
        (b"before", "torn"),
        (b"\x1e", "torn"),
        (b'\x1e["started"', "torn"),
        (b"\x1enot json\n", "malformed"),
        (b"\x1e\xff\xfe\n", "malformed"),
        (b"\x1e" + b"[" * 100_000 + b"\n", "malformed"),
        (b'\x1e["started","' + b"x" * wire.MAX_RECORD + b'"]\n', "oversize"),
    ],
)
def test_bytes_that_are_no_record(payload: bytes, cause: str | None) -> None:
    refused: dict[str, int] = {}
    assert list(decode_records(payload, T, refused)) == []
    assert refused == ({cause: 1} if cause else {})


# -- frames ------------------------------------------------------------------------------------------------------------
HELLO = {
    "type": "hello", "protocol": 1, "agent_version": "0.1.0", "boot": "b", "spool": "s", "host": "h", "pid": 1, "role": "worker",
    "environment": "production", "engines": {"celery": "5.7"}, "allow": "operate", "denied": [], "shipper": True, "at": 1,
    "capabilities": [["celery", "retry_task", "any", "exact", ["failed"], "note"]],
}  # fmt: skip
BEAT = {"type": "heartbeat", "at": 1, "running": [], "spool_bytes": 0, "dropped": 0, "faults": 0, "shipper": False}


def test_frames_become_their_types() -> None:
    hello = decode_frame(json.dumps(HELLO))
    assert isinstance(hello, Hello)
    assert hello.capabilities[0].states == ["failed"]
    beat = decode_frame(json.dumps(BEAT | {"running": [["celery", "a", 0, "n", "q", 5, 7]]}))
    assert isinstance(beat, Heartbeat)
    assert beat.running is not None
    assert beat.running[0].pid == 7
    found = decode_frame(json.dumps({"type": "discovery", "engine": "celery", "tasks": [["n"]], "queues": [["q", None, 1, None]]}))
    assert isinstance(found, Discovery)
    assert (found.tasks[0].signature, found.queues[0].consumers) == ("", 1)
    assert isinstance(decode_frame(b'{"type":"goodbye","reason":"done"}'), Goodbye)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"type":"unheard"}',
        '{"type":"hello","protocol":1}',
        json.dumps(HELLO | {"boot": ""}),
        json.dumps(HELLO | {"host": "a\0"}),
        json.dumps(HELLO | {"host": "\ud800"}),
        json.dumps(BEAT | {"spool_bytes": -1}),
        "[" * 100_000,
        b'{"type":"goodbye","reason":"\\u0000"}',
        b"\xff",
    ],
)
def test_what_is_no_frame_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        decode_frame(text)
