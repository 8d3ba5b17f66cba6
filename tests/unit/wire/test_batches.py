# SPDX-License-Identifier: AGPL-3.0-or-later
"""The bytes of a batch: what is a record in them, and under which cause everything else is counted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.database import T, origin, task
from z4j.rules.tasks.fold import MAX_AT
from z4j.wire import records
from z4j.wire.batches import FUTURE_US, decode_records
from z4j_agent import wire


def decode(*entries: list[Any]) -> tuple[list[records.AnyRecord], dict[str, int]]:
    refused: dict[str, int] = {}
    payload = b"".join(wire.encode_record(entry) for entry in entries)
    return list(decode_records(payload, T, refused)), refused


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


def test_ten_minutes_ahead_of_our_clock_is_the_future() -> None:
    assert FUTURE_US == 10 * 60 * 1_000_000


def test_unknown_facts_and_trailing_fields_are_left_for_newer_servers() -> None:
    [found], refused = decode([*task("started", "a", 1)[:-1], {"colour": "red"}, "more"])
    assert isinstance(found, records.Started)
    assert (found.meta, refused) == (records.Facts(), {})


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


def test_causes_add_up_over_batches_and_the_good_records_stay_in_order() -> None:
    refused = {"torn": 2}
    good = [wire.encode_record(task("started", name, 1)) for name in "abc"]
    payload = b"rest of a record\n" + good[0] + b"\x1enot json\n" + good[1] + good[2] + good[0][:-1]
    found = [of.task_id for of in decode_records(payload, T, refused) if isinstance(of, records.TaskRecord)]
    assert (found, refused) == (["a", "b", "c"], {"torn": 4, "malformed": 1})


def test_the_largest_record_is_taken() -> None:
    """Its size counts from the byte after its start to the end of its line."""
    entry = task("succeeded", "a", 1, None, None, None, "")
    room = wire.MAX_RECORD - (len(wire.encode_record(entry)) - 1)
    entry[11] = "x" * room
    [found], refused = decode(entry)
    assert isinstance(found, records.Succeeded)
    assert refused == {}
    entry[11] += "x"
    payload = wire.RECORD_START + wire.encode_record(task("succeeded", "a", 1, None, None, None, "")).strip(b"\x1e\n").replace(
        b'""', b'"' + b"x" * (room + 1) + b'"', 1
    ) + wire.RECORD_END  # fmt: skip
    assert list(decode_records(payload, T, refused)) == []
    assert refused == {"oversize": 1}


FACTS = ("parent_id", "root_id", "group_id", "retry_of", "code", "route", "worker", "label")
NUL: list[list[Any]] = [
    *([*task("started", "a", 1)[:place], "x\0", *task("started", "a", 1)[place + 1 :]] for place in (1, 2, 5, 6, 7)),
    *([*task("started", "a", 1)[:-1], {fact: "x\0"}] for fact in FACTS),
    [*task("started", "a", 1)[:-1], {"depends_on": ["x", "y\0"]}],
    task("payload", "a", 1, 2, "", False, None, "plain", "broker\0"),
    *(origin(at=T, **{name: "x\0"}) for name in ("host", "role", "worker", "app", "environment", "release")),
    origin("boot\0"),
    ["command", "c\0", 1, "done", {}],
    ["command", "c", 1, "done\0", {}],
    *(["fired", "r", 1, {"scheduler": "s", "schedule": "x"} | {name: "x\0"}] for name in ("scheduler", "schedule", "task_id", "error")),
    ["fired", "r\0", 1, {"scheduler": "s", "schedule": "x"}],
    ["gap", "k\0", 1, {}],
    ["gap", "k", 1, {"cause": "x\0"}],
    ["fault", "k\0", 1, {}],
]


@pytest.mark.parametrize("entry", NUL, ids=range(len(NUL)))
def test_a_nul_in_any_name_refuses_the_record(entry: list[Any]) -> None:
    """SQLite ends a text at it, so two names could look the same in one place and different in another."""
    found, refused = decode(entry, task("started", "b", 1))
    assert (len(found), refused) == (1, {"nul": 1})


def test_a_nul_beside_records_whose_names_are_clean() -> None:
    clean = [
        origin(worker=None, app=None, release=None), ["command", "c", 1, "done", {"text": "\0"}], ["gap", "k", 1, {"cause": "full"}],
        ["fired", "r", 1, {"scheduler": "s", "schedule": "x"}], task("payload", "a", 1, 2, "\0", False, None, "plain"),
        task("moved", "a", 1, "c"),
    ]  # fmt: skip
    found, refused = decode(*clean)
    assert (len(found), refused) == (len(clean), {})


@pytest.mark.parametrize("kind", sorted(wire.SERVER_ONLY))
def test_what_only_the_server_may_say_is_refused_also_when_it_is_malformed(kind: str) -> None:
    assert decode([kind, "celery"]) == ([], {"server_only": 1})
    assert decode(task(kind, "a", 1)) == ([], {"server_only": 1})


def test_a_number_out_of_bounds_is_told_from_a_wrong_type() -> None:
    assert decode([*BASE[:3], 1 << 31, *BASE[4:]])[1] == {"limits": 1}
    assert decode([*BASE[:3], None, *BASE[4:]])[1] == {"malformed": 1}
    assert decode([*BASE[:8], {"depends_on": ["x"] * 21}])[1] == {"malformed": 1}
