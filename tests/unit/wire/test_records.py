# SPDX-License-Identifier: AGPL-3.0-or-later
"""What each record of the wire says, and every limit of its fields."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.database import T, task
from z4j.rules.tasks.fold import MAX_AT, Event
from z4j.wire import records, texts
from z4j.wire.batches import decode_records
from z4j_agent import wire
from z4j_agent.wire.redaction import MASK

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
    entry = task(kind, "a", 1)
    entry[8 + wire.TASK_RECORDS[kind].index("meta")] = META
    assert event(entry) == Event(kind, 0, 1, **(HEAD | {"worker": "other"}), sent=SENT, flags=7)


def test_all_kinds_of_the_wire_are_known() -> None:
    agents = set(wire.TASK_RECORDS) - wire.SERVER_ONLY
    for kind in agents - {"payload", "logged"}:
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
    assert texts.text("x" * 10, 10) == "x" * 10
    assert texts.text(None, 10) == ""
    assert event(task("succeeded", "a", 1, None, None, None, "a\0b")).result == "a␀b"


# -- facts ---------------------------------------------------------------------------------------------------------------
def facts(**said: Any) -> Event:
    return event([*task("enqueued", "a", 1)[:-1], said])


@pytest.mark.parametrize(("fact", "flag"), [("redelivered", 1), ("eager", 2), ("reconciled", 4)])
def test_each_mark_of_a_delivery_has_its_flag(fact: str, flag: int) -> None:
    assert facts(**{fact: True}).flags == flag
    assert facts(**{fact: False}).flags == 0


@pytest.mark.parametrize("place", range(len(SENT)))
def test_each_fact_of_its_origin_is_kept_without_the_others(place: int) -> None:
    names = ("parent_id", "root_id", "group_id", "retry_of", "code", "route", "expires", "priority", "label", "depends_on")
    expected = list(records.NOTHING_SENT)
    expected[place] = SENT[place]
    assert facts(**{names[place]: META[names[place]]}).sent == tuple(expected)


def test_a_priority_that_is_not_given_is_below_every_one_that_can_be() -> None:
    assert facts(priority=-(1 << 31)).sent[7:8] == (-(1 << 31),)
    assert facts(code="x").sent[7:8] == (records.NO_PRIORITY,)
    assert records.NO_PRIORITY == -(1 << 31) - 1
    assert records.NOTHING_SENT == ("", "", "", "", "", "", -1, records.NO_PRIORITY, "", "")


def test_a_label_is_redacted_for_it_may_hold_an_argument() -> None:
    assert facts(label="reset password=hunter2").sent[8:9] == (f"reset password={MASK}",)


def test_what_an_older_release_stored_of_its_origin_is_filled_up() -> None:
    assert records.whole_sent(("p", "r")) == ("p", "r", *records.NOTHING_SENT[2:])
    assert records.whole_sent(()) == records.NOTHING_SENT
    assert records.whole_sent(SENT) == SENT


@pytest.mark.parametrize(("kind", "place"), [("enqueued", 9), ("succeeded", 12)])
def test_an_unusual_outcome_says_why_in_its_facts(kind: str, place: int) -> None:
    entry = task(kind, "a", 1)
    entry[place] = {"reason": "blocked"}
    assert event(entry).reason == "blocked"


def test_facts_that_are_zero_are_not_taken_for_missing() -> None:
    found = event(task("failed", "a", 1, 0, 0, 0))
    assert (found.received_at, found.started_at, found.runtime_us) == (0, 0, 0)
    assert event(task("enqueued", "a", 1, 0)).eta == 0
    assert facts(expires=0).sent[6:7] == (0,)


# -- limits --------------------------------------------------------------------------------------------------------------
NAME, COUNT = "x" * 255, (1 << 53) - 1
TIME = [(MAX_AT - 1, MAX_AT), (0, -1)]
TEXT = [(NAME, NAME + "x")]
KEY = [*TEXT, ("x", "")]
NUMBER = [((1 << 31) - 1, 1 << 31), (0, -1)]
COUNTED = [(COUNT, COUNT + 1), (0, -1)]
SIGNED = [((1 << 31) - 1, 1 << 31), (-(1 << 31), -(1 << 31) - 1)]
LATE = 1 << 60
"""A clock of ours that is so late that every time is in the past."""


def is_taken(entry: list[Any]) -> bool:
    refused: dict[str, int] = {}
    return bool(list(decode_records(wire.encode_record(entry), LATE, refused)))


@pytest.mark.parametrize(("place", "pairs"), [
    (1, KEY), (2, KEY), (3, [((1 << 31) - 1, 1 << 31), (0, -1)]), (4, TIME), (5, TEXT), (6, TEXT), (7, TEXT),
])  # fmt: skip
def test_every_limit_of_the_head_holds_and_no_smaller_one(place: int, pairs: list[tuple[Any, Any]]) -> None:
    entry = task("started", "a", 1)
    for most, more in pairs:
        assert is_taken([*entry[:place], most, *entry[place + 1 :]])
        assert not is_taken([*entry[:place], more, *entry[place + 1 :]])


@pytest.mark.parametrize(("fact", "pairs"), [
    *((name, TEXT) for name in ("parent_id", "root_id", "group_id", "retry_of", "code", "route", "label", "worker", "reason")),
    ("expires", TIME), ("priority", SIGNED), ("depends_on", [([NAME] * 20, ["x"] * 21), (["x"], [""]), ([], [NAME + "x"])]),
])  # fmt: skip
def test_every_limit_of_a_fact_holds_and_no_smaller_one(fact: str, pairs: list[tuple[Any, Any]]) -> None:
    for most, more in pairs:
        assert is_taken([*task("started", "a", 1)[:-1], {fact: most}])
        assert not is_taken([*task("started", "a", 1)[:-1], {fact: more}])


@pytest.mark.parametrize("kind", sorted(set(wire.TASK_RECORDS) - wire.SERVER_ONLY))
def test_times_and_runtimes_of_every_kind_have_their_limits(kind: str) -> None:
    limits: dict[str, list[tuple[Any, Any]]] = {
        "eta": TIME, "received_at": TIME, "started_at": TIME, "runtime": COUNTED, "rank": [(255, 256), (0, -1)], "command_id": TEXT,
        "broker": TEXT, "seq": NUMBER, "dropped": NUMBER, "level": [(255, 256), (0, -1)],
        "usage": [([-1, 0, (1 << 53) - 1, 0, 1], [0, 0, 1 << 53, 0, 0]), ([0] * 5, [0] * 4), ([0] * 5, [0] * 6), ([-1] * 5, [-2] * 5)],
    }  # fmt: skip
    whole = {"payload": [2, "", False, None, "none", ""], "logged": [1, 0, 20, "l", "m", 0]}.get(kind, [])
    for place, field in enumerate(wire.TASK_RECORDS[kind], 8):
        entry = task(kind, "a", 1, *whole)
        for most, more in limits.get(field, []):
            assert is_taken([*entry[:place], most, *entry[place + 1 :]]), field
            assert not is_taken([*entry[:place], more, *entry[place + 1 :]]), field


@pytest.mark.parametrize(("entry", "name", "pairs"), [
    *((["origin", "b", 1, {}], name, TEXT) for name in ("host", "role", "worker", "app", "environment", "release")),
    (["origin", "b", 1, {}], "pid", COUNTED), (["origin", "b", 1, {}], "redaction", [((1 << 31) - 1, 1 << 31), (0, -1)]),
    (["gap", "k", 1, {}], "count", COUNTED), (["gap", "k", 1, {}], "bytes", COUNTED), (["gap", "k", 1, {}], "first_at", TIME),
    (["gap", "k", 1, {}], "last_at", TIME), (["gap", "k", 1, {}], "cause", TEXT), (["fault", "k", 1, {}], "count", COUNTED),
    (["fired", "r", 1, {"scheduler": "s", "schedule": "x"}], "scheduler", KEY),
    (["fired", "r", 1, {"scheduler": "s", "schedule": "x"}], "schedule", KEY),
    (["fired", "r", 1, {"scheduler": "s", "schedule": "x"}], "due_at", TIME),
    (["fired", "r", 1, {"scheduler": "s", "schedule": "x"}], "task_id", TEXT),
    (["fired", "r", 1, {"scheduler": "s", "schedule": "x"}], "outcome", TEXT),
    (["fired", "r", 1, {"scheduler": "s", "schedule": "x"}], "error", [("x" * 4_000, "x" * 4_001)]),
])  # fmt: skip
def test_every_limit_of_other_records_holds_and_no_smaller_one(entry: list[Any], name: str, pairs: list[tuple[Any, Any]]) -> None:
    for most, more in pairs:
        assert is_taken([*entry[:3], entry[3] | {name: most}])
        assert not is_taken([*entry[:3], entry[3] | {name: more}])


@pytest.mark.parametrize("entry", [["origin", "b", 1, {}], ["gap", "k", 1, {}], ["command", "c", 1, "done", None], ["fault", "k", 1, {}]])
def test_other_records_have_a_key_and_a_time(entry: list[Any]) -> None:
    for place, pairs in ((1, KEY), (2, TIME)):
        for most, more in pairs:
            assert is_taken([*entry[:place], most, *entry[place + 1 :]])
            assert not is_taken([*entry[:place], more, *entry[place + 1 :]])


def test_what_other_records_leave_out() -> None:
    found, refused = decode(
        ["origin", "b", 1, {}], ["gap", "k", 1, {}], ["fault", "k", 1, {}], ["fired", "r", 1, {"scheduler": "s", "schedule": "x"}],
        ["command", "c", 1, "done", None],
    )  # fmt: skip
    assert refused == {}
    assert found == [
        records.Origin("b", 1, records.OriginFacts("", 0, "", None, None, "", None, 0)),
        records.Gap("k", 1, records.GapFacts(0, 0, 0, 0, "")),
        records.Fault("k", 1, records.FaultFacts("", "", 1)), records.Fired("r", 1, records.FiredFacts("s", "x", None, "", "sent", "")),
        records.CommandResult("c", 1, "done", None),
    ]  # fmt: skip


# -- texts ---------------------------------------------------------------------------------------------------------------
def test_limits_of_stored_texts() -> None:
    limits = (records.ARGS_LIMIT, records.RESULT_LIMIT, records.ERROR_LIMIT, records.TRACEBACK_LIMIT, records.REASON_LIMIT)
    assert limits == (2_000, 2_000, 4_000, 64_000, 200)
    assert texts.text("abcdef", 5) == "abcd…"
    assert texts.text("a\0b", 3) == "a␀b"
    assert texts.text("", 3) == ""
    assert len(event(task("payload", "a", 1, 2, "x" * 9_999, False, None, "none")).args) == 2_000
    assert len(event(task("succeeded", "a", 1, None, None, None, "x" * 9_999)).result) == 2_000


def test_texts_of_an_agent_that_is_older_than_a_rule_are_redacted_again_before_they_are_cut() -> None:
    [failed], _ = decode(
        task("failed", "a", 1, None, None, None, "password=hunter2", "password=hunter2", "password=hunter2", "password=hunter2")
    )
    assert isinstance(failed, records.Failed)
    again = records.redacted(failed)
    assert isinstance(again, records.Failed)
    assert (again.error, again.traceback) == (f"password={MASK}", f"password={MASK}")
    assert (again.error_type, again.reason, again.task_id) == (f"password={MASK}", f"password={MASK}", "a")
    [sent], _ = decode(
        task("enqueued", "a", 1, None, {"route": "/reset?token=hunter2hunter2", "reason": "password=hunter2", "code": "shop:1"})
    )
    assert isinstance(sent, records.Enqueued)
    meta = records.redacted(sent).meta  # type: ignore[attr-defined]
    assert "hunter2" not in meta.route + meta.reason
    assert meta.code == "shop:1"
    [payload, won, plain], _ = decode(
        task("payload", "a", 1, 2, "['password=hunter2']", False, None, "none"),
        task("succeeded", "a", 1, None, None, None, "password=hunter2"),
        task("started", "a", 1),
    )
    assert isinstance(payload, records.Payload)
    assert isinstance(won, records.Succeeded)
    assert isinstance(plain, records.Started)
    assert "hunter2" not in str(records.redacted(payload)) + str(records.redacted(won))
    assert records.redacted(plain) is plain


def test_a_text_of_a_host_is_shown_redacted_and_cut() -> None:
    assert records.shown("password=hunter2", 200) == f"password={MASK}"
    assert records.shown("password=" + "x" * 99, 12) == f"password={MASK}"
    assert records.shown("abcdef", 5) == "abcd…"
    assert records.shown(None, 5) == records.shown("", 5) == ""
