# SPDX-License-Identifier: AGPL-3.0-or-later
"""The note of a record as it is stored: redacted again where its agent has older rules, and only with the ids that are known."""

from __future__ import annotations

import json

import msgspec
import pytest

from tests.support.database import T
from z4j.rules.tasks.fold import MAX_AT
from z4j.rules.tasks.run_annotations import RunAnnotations
from z4j.wire.annotation_records import Note
from z4j_agent.wire.redaction import MASK


def test_a_note_of_an_agent_with_other_rules_is_redacted_again() -> None:
    note = Note(fields={"password": (T, "hunter2hunter2"), "order": (T, "42")}, progress=(T, 1, 2, "password=hunter2hunter2"))
    again = note.annotations(is_redacted=False)
    assert again.fields == {"password": (T, MASK), "order": (T, "42")}
    assert again.progress == (T, 1, 2, f"password={MASK}")
    assert note.annotations(is_redacted=True).fields["password"] == (T, "hunter2hunter2")


def test_ids_that_are_not_known_are_left_out_and_others_are_in_small_letters() -> None:
    notes = Note(ids={"trace_id": (T, "AB"), "other": (T, "1")}).annotations(is_redacted=True)
    assert notes.ids == {"trace_id": (T, "ab")}


@pytest.mark.parametrize(("total", "stored"), [(None, -1), (-5, -1), (0, 0), (3, 3)])
def test_a_total_that_is_none(total: float | None, stored: float) -> None:
    progress = Note(progress=(T, 1, total, "")).annotations(is_redacted=True).progress
    assert progress == (T, 1, stored, "")


def decoded(**parts: object) -> Note:
    return msgspec.json.decode(json.dumps(parts), type=Note)


def test_limits_are_those_of_the_protocol() -> None:
    """adapters/agent/PROTOCOL.md; the largest number is the last one that every reader of JSON knows exactly."""
    longest = {"a" * 50: [0, "v" * 200], **{f"f{number}": [MAX_AT - 1, ""] for number in range(19)}}
    ids = {f"n{number}": [0, "Ab0-" * 16] for number in range(8)}
    most = 2**53 - 1
    note = decoded(fields=longest, ids=ids, progress=[0, -most, most, "t" * 200], excess=2**31 - 1)
    assert (len(note.fields), len(note.ids), note.excess) == (20, 8, 2**31 - 1)
    assert note.progress == (0, -most, most, "t" * 200)
    assert decoded(fields={"a": [1, ""]}, excess=0).excess == decoded().excess == 0


@pytest.mark.parametrize(
    "parts",
    [
        {"fields": {"a" * 51: [0, ""]}}, {"fields": {"a": [0, "v" * 201]}}, {"fields": {"a": [MAX_AT, ""]}},
        {"fields": {f"f{number}": [0, ""] for number in range(21)}}, {"ids": {f"n{number}": [0, ""] for number in range(9)}},
        {"ids": {"trace_id": [0, "a" * 65]}}, {"ids": {"trace_id": [0, "a b"]}}, {"ids": {"trace_id": [0, "a/"]}},
        {"progress": [0, 2**53, None, ""]}, {"progress": [0, -(2**53), None, ""]}, {"progress": [0, 0, 2**53, ""]},
        {"progress": [0, 0, -(2**53), ""]}, {"progress": [-1, 0, 0, ""]}, {"progress": [0, 0, 0, "t" * 201]},
        {"excess": -1}, {"excess": 2**31},
    ],
)  # fmt: skip
def test_what_exceeds_a_limit_is_refused(parts: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        decoded(**parts)


def test_a_note_without_progress_has_none() -> None:
    assert decoded(excess=2).annotations(is_redacted=True) == RunAnnotations({}, {}, 2, ())
    assert decoded(excess=2).annotations(is_redacted=False) == RunAnnotations({}, {}, 2, ())


@pytest.mark.parametrize("text", ['{"fields": {"": [1, "a"]}}', '{"fields": {"a": [-1, "a"]}}', '{"progress": [1, "2", 3, ""]}'])
def test_what_is_malformed_is_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Note)
