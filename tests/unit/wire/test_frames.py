# SPDX-License-Identifier: AGPL-3.0-or-later
"""Frames of agents: what each holds, what it may leave out, and every limit that an agent cannot exceed."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from z4j.rules.tasks.fold import MAX_AT
from z4j.wire.frames import Discovery, Goodbye, Heartbeat, Hello, Schedules, decode_frame

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


# -- limits --------------------------------------------------------------------------------------------------------------
DISCOVERY = {"type": "discovery", "engine": "celery", "tasks": [], "queues": []}
ENTRY = {"key": "k", "name": "", "kind": "cron", "expression": "", "timezone": "", "task_name": ""}
SCHEDULES = {
    "type": "schedules", "scheduler": "s", "engine": "e", "store": "", "is_firing": True, "tick_us": 0, "timezone": "", "can_create": False,
    "entries": [],
}  # fmt: skip
GOODBYE = {"type": "goodbye"}
WORKER = {"name": "w"}
ITEM = ["celery", "retry_task", "any", "exact", [], ""]
EVERY_QUEUE = ["q", 0, 0, 0, 0, 0, "", ""]
OF_ENGINE = ["celery", "q", 0, 0, 0, 0, 0, ""]
RUNNING = ["celery", "a", 0, "n", "q", 0, 0]
COUNT, WORD, SHORT_ID = (1 << 53) - 1, "x" * 255, "x"


def at_place(items: list[Any], place: int, value: Any) -> list[Any]:
    return [*items[:place], value, *items[place + 1 :]]


def texts(field: str, most: int) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [({field: "x" * most}, {field: "x" * (most + 1)})]


def counts(field: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [({field: COUNT}, {field: COUNT + 1}), ({field: 0}, {field: -1})]


def times(field: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [({field: MAX_AT - 1}, {field: MAX_AT}), ({field: 0}, {field: -1})]


def ids(field: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [*texts(field, 255), ({field: "x"}, {field: ""})]


def lists(field: str, of: Any, most: int) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [({field: [of] * most}, {field: [of] * (most + 1)})]


def inside(make: Any, pairs: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    return [(make(most), make(more)) for most, more in pairs]


def positions(make: Any, items: list[Any], kinds: str) -> list[tuple[Any, Any]]:
    """`kinds`: for each position one letter: i an id, n a name, c a count, t a time, l a list of names, x a text, p a proof, - none."""
    pairs: dict[str, list[tuple[Any, Any]]] = {
        "i": [(WORD, WORD + "x"), ("x", "")], "n": [(WORD, WORD + "x"), ("", 1)], "c": [(COUNT, COUNT + 1), (0, -1)],
        "t": [(MAX_AT - 1, MAX_AT), (0, -1)], "l": [([WORD] * 1_000, [WORD] * 1_001), ([WORD], [WORD + "x"])],
        "x": [("x" * 4_000, "x" * 4_001)], "p": [("x" * 100, "x" * 101)], "-": [],
    }  # fmt: skip
    return [
        (make(at_place(items, place, most)), make(at_place(items, place, more)))
        for place, kind in enumerate(kinds)
        for most, more in pairs[kind]
    ]


HEAD_OF_LOG = {"seq": 1, "digest": "0" * 64}
LIMITS: list[tuple[dict[str, Any], list[tuple[Any, Any]]]] = [
    (HELLO, [
        *(pair for name in ("agent_version", "spool", "host", "role", "environment", "allow", "worker", "seat", "app", "release",
                       "seal_key")
          for pair in texts(name, 255)),
        *ids("boot"), *counts("pid"), *times("at"), *counts("redaction"),
        *lists("denied", "x", 1_000), *lists("notes", "x", 50), *lists("capabilities", ITEM, 500),
        ({"denied": [WORD]}, {"denied": [WORD + "x"]}), ({"notes": ["x" * 4_000]}, {"notes": ["x" * 4_001]}),
        ({"engines": {WORD: WORD}}, {"engines": {WORD: WORD + "x"}}), ({"engines": {WORD: "1"}}, {"engines": {WORD + "x": "1"}}),
        ({"protocol": 2}, {"protocol": "2"}), ({"shipper": False}, {"shipper": 0}),
        *positions(lambda item: {"capabilities": [item]}, ITEM, "iinnlx"),
        ({"audit_head": HEAD_OF_LOG}, {"audit_head": HEAD_OF_LOG | {"seq": 0}}),
        ({"audit_head": HEAD_OF_LOG | {"seq": COUNT}}, {"audit_head": HEAD_OF_LOG | {"seq": COUNT + 1}}),
        ({"audit_head": HEAD_OF_LOG | {"digest": "09af" * 16}}, {"audit_head": HEAD_OF_LOG | {"digest": "09AF" * 16}}),
        ({"audit_head": HEAD_OF_LOG}, {"audit_head": HEAD_OF_LOG | {"digest": "0" * 63}}),
        ({"audit_head": HEAD_OF_LOG}, {"audit_head": HEAD_OF_LOG | {"digest": "0" * 65}}),
    ]),
    (DISCOVERY, [
        *ids("engine"), *lists("tasks", ["n"], 10_000), *lists("queues", ["q"], 1_000),
        *positions(lambda item: {"tasks": [item]}, ["n", "", "", "q", ""], "ixxnp"),
        *positions(lambda item: {"queues": [item]}, EVERY_QUEUE, "icctccpn"),
        ({"brokers": {str(n): "x" for n in range(100)}}, {"brokers": {str(n): "x" for n in range(101)}}),
        ({"brokers": {WORD: WORD}}, {"brokers": {WORD: WORD + "x"}}), ({"brokers": {WORD: ""}}, {"brokers": {WORD + "x": ""}}),
        *inside(lambda more: {"worker": WORKER | more}, [
            *ids("name"), *texts("pool", 255), *counts("concurrency"), *lists("queues", "q", 1_000), *lists("pids", 1, 10_000),
            *lists("notes", "x", 50), ({"pids": [COUNT]}, {"pids": [COUNT + 1]}), ({"pids": [0]}, {"pids": [-1]}),
            ({"options": {str(n): "x" for n in range(20)}}, {"options": {str(n): "x" for n in range(21)}}),
            ({"options": {WORD: WORD}}, {"options": {WORD: WORD + "x"}}), ({"options": {WORD: ""}}, {"options": {WORD + "x": ""}}),
        ]),
    ]),
    (BEAT, [
        *times("at"), *counts("spool_bytes"), *counts("dropped"), *counts("faults"), *lists("running", RUNNING, 10_000),
        *lists("queues", OF_ENGINE, 1_000),
        *positions(lambda item: {"running": [item]}, RUNNING, "iicnncc"),
        *positions(lambda item: {"queues": [item]}, OF_ENGINE, "iicctccn"),
        ({"audit_head": HEAD_OF_LOG}, {"audit_head": HEAD_OF_LOG | {"seq": 0}}),
    ]),
    (SCHEDULES, [
        *ids("scheduler"), *ids("engine"), *texts("store", 255), *counts("tick_us"), *texts("timezone", 255), *texts("applied", 255),
        *lists("entries", ENTRY, 2_000), *lists("notes", "x", 50),
        ({"failed": {WORD: "x" * 4_000}}, {"failed": {WORD: "x" * 4_001}}), ({"failed": {WORD: ""}}, {"failed": {WORD + "x": ""}}),
        *inside(lambda more: {"entries": [ENTRY | more]}, [
            *ids("key"), *texts("name", 255), *texts("expression", 500), *texts("timezone", 255), *texts("task_name", 255),
            *texts("args", 8_000), *texts("kwargs", 8_000), *texts("queue", 255), *times("next_at"), *times("last_at"),
            *texts("note", 4_000),
            ({"priority": (1 << 31) - 1}, {"priority": 1 << 31}), ({"priority": -(1 << 31)}, {"priority": -(1 << 31) - 1}),
            ({"kind": "other"}, {"kind": "sunrise"}), ({"kind": "interval"}, {"kind": ""}), ({"kind": "once"}, {"kind": None}),
            ({"unable": {"x" * 60: "x" * 4_000}}, {"unable": {"x" * 61: ""}}), ({"unable": {}}, {"unable": {"a": "x" * 4_001}}),
        ]),
    ]),
    (GOODBYE, texts("reason", 255)),
]  # fmt: skip


@pytest.mark.parametrize(("frame", "pairs"), LIMITS, ids=lambda of: of.get("type") if isinstance(of, dict) else "limits")
def test_every_limit_of_a_frame_holds_and_no_smaller_one(frame: dict[str, Any], pairs: list[tuple[Any, Any]]) -> None:
    """Of each pair the first is the most that is taken, the second is refused."""
    for most, more in pairs:
        assert decode_frame(json.dumps(frame | most)) is not None
        with pytest.raises(ValueError, match=r"\w"):
            decode_frame(json.dumps(frame | more))


def test_limits_are_named_when_they_are_exceeded() -> None:
    with pytest.raises(ValueError, match=r"length <= 255 - at `\$\.host`"):
        decode_frame(json.dumps(HELLO | {"host": "h" * 256}))
    with pytest.raises(ValueError, match="a frame may not hold a NUL"):
        decode_frame(json.dumps(HELLO | {"host": "a\0"}))
    with pytest.raises(ValueError, match="a frame may not hold a NUL"):
        decode_frame(json.dumps(HELLO | {"host": "a\0"}).encode())


# -- what may be left out ------------------------------------------------------------------------------------------------
def whole(frame: dict[str, Any]) -> Any:
    return msgspec.to_builtins(decode_frame(json.dumps(frame)))


def test_an_agent_that_is_older_says_less() -> None:
    assert whole(HELLO) == HELLO | {
        "worker": None, "seat": None, "app": None, "release": None, "seal_key": None, "notes": None, "audit_head": None, "redaction": 0,
        "authenticates_originals": False, "brokers": None, "pins": None,
    }  # fmt: skip
    assert whole(HELLO | {"capabilities": [ITEM[:4]]})["capabilities"] == [ITEM]
    assert whole(BEAT) == BEAT | {"queues": None, "audit_head": None}
    assert whole(BEAT | {"running": None})["running"] is None
    assert whole(BEAT | {"running": [RUNNING[:6]], "queues": [["celery", "q"]]}) == BEAT | {
        "running": [RUNNING], "queues": [["celery", "q", None, None, None, None, None, ""]], "audit_head": None,
    }  # fmt: skip
    assert whole(DISCOVERY | {"tasks": [["n"]], "queues": [["q"]], "worker": {"name": "w"}}) == {
        **DISCOVERY,
        "tasks": [["n", "", "", None, ""]],
        "queues": [["q", None, None, None, None, None, "", ""]],
        "worker": {"name": "w", "pool": "", "concurrency": None, "queues": [], "pids": [], "notes": [], "options": {}},
        "brokers": {},
    }
    assert whole(DISCOVERY)["worker"] is None
    assert whole(SCHEDULES | {"entries": [ENTRY]}) == {
        **SCHEDULES,
        "entries": [{
            **ENTRY, "args": "[]", "kwargs": "{}", "queue": "", "priority": None, "is_enabled": True, "next_at": None, "last_at": None,
            "is_code": False, "unable": {}, "note": "",
        }],
        "applied": "", "failed": {}, "notes": [], "is_cut": False,
    }  # fmt: skip
    assert whole(GOODBYE) == {"type": "goodbye", "reason": ""}


def test_each_frame_has_its_type() -> None:
    kinds: dict[str, dict[str, Any]] = {
        "hello": HELLO,
        "discovery": DISCOVERY,
        "heartbeat": BEAT,
        "schedules": SCHEDULES,
        "goodbye": GOODBYE,
    }
    types = [Hello, Discovery, Heartbeat, Schedules, Goodbye]
    assert [type(decode_frame(json.dumps(frame))) for frame in kinds.values()] == types
    assert {name: frame["type"] for name, frame in kinds.items()} == {name: name for name in kinds}
