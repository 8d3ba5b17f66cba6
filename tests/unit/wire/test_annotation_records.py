# SPDX-License-Identifier: AGPL-3.0-or-later
"""The note of a record as it is stored: redacted again where its agent has older rules, and only with the ids that are known."""

from __future__ import annotations

import msgspec
import pytest

from tests.support.database import T
from z4j.wire.annotation_records import Note
from z4j_agent.wire.redaction import MASK


def test_a_note_of_an_agent_with_other_rules_is_redacted_again() -> None:
    note = Note(fields={"password": (T, "hunter2hunter2"), "order": (T, "42")}, progress=(T, 1, 2, "password=hunter2hunter2"))
    again = note.notes(is_redacted=False)
    assert again.fields == {"password": (T, MASK), "order": (T, "42")}
    assert again.progress == (T, 1, 2, f"password={MASK}")
    assert note.notes(is_redacted=True).fields["password"] == (T, "hunter2hunter2")


def test_ids_that_are_not_known_are_left_out_and_others_are_in_small_letters() -> None:
    notes = Note(ids={"trace_id": (T, "AB"), "other": (T, "1")}).notes(is_redacted=True)
    assert notes.ids == {"trace_id": (T, "ab")}


@pytest.mark.parametrize(("total", "stored"), [(None, -1), (-5, -1), (0, 0), (3, 3)])
def test_a_total_that_is_none(total: float | None, stored: float) -> None:
    progress = Note(progress=(T, 1, total, "")).notes(is_redacted=True).progress
    assert progress == (T, 1, stored, "")


@pytest.mark.parametrize("text", ['{"fields": {"": [1, "a"]}}', '{"fields": {"a": [-1, "a"]}}', '{"progress": [1, "2", 3, ""]}'])
def test_what_is_malformed_is_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Note)
