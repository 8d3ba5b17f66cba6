# SPDX-License-Identifier: AGPL-3.0-or-later
"""Annotations and ids as a query finds them, and what the language takes for one."""

from __future__ import annotations

import json

import pytest

from z4j.rules.queries.annotation_terms import has_note, note_pair, note_pairs_of
from z4j.rules.queries.arguments import MAX_VALUE
from z4j.rules.queries.parse import WrongQuery, parse
from z4j.rules.queries.query import Term, format_query

NOTES = json.dumps([[json.dumps({"Order": [1, "42"], "who": [1, "Ann LEE"], "key": [1, "•••"]}), json.dumps({"trace_id": [1, "ab-CD"]})]])


def test_pairs_compare_in_small_letters_and_masked_values_are_not_there() -> None:
    pairs = note_pairs_of(NOTES)
    assert has_note(pairs, "order", "42", is_prefix=False)
    assert has_note(pairs, "WHO", "ann lee", is_prefix=False)
    assert has_note(pairs, "who", "ann", is_prefix=True)
    assert not has_note(pairs, "who", "ann", is_prefix=False)
    assert not has_note(pairs, "key", "•••", is_prefix=False)
    assert has_note(pairs, "", "abcd", is_prefix=False)
    assert not has_note(pairs, "trace_id", "abcd", is_prefix=False)
    assert note_pairs_of("[]") == set()


@pytest.mark.parametrize("text", ["note.order:42", "note.order:42,43 -note.who:ann*", "trace:ab12", "note.a.b-c:x"])
def test_the_language_knows_them(text: str) -> None:
    assert format_query(parse(text)) == text


def test_a_term_has_its_path() -> None:
    assert parse("note.order:42").terms == (Term("note", "42", path="order"),)


@pytest.mark.parametrize(
    ("text", "words"), [("note:42", "needs its name"), ("trace:a/b", "not a trace ID"), ("trace:ab*", "does not support")]
)
def test_what_is_none(text: str, words: str) -> None:
    with pytest.raises(WrongQuery, match=words):
        parse(text)


def test_a_pair_is_none_of_an_argument_and_its_value_is_cut() -> None:
    assert note_pair("order", "42") == "\x81order=42"
    assert note_pair("", "AB-cd") == "\x81=abcd"
    assert note_pair("a", "x" * 200) == "\x81a=" + "x" * MAX_VALUE
    assert note_pair("a", "x" * MAX_VALUE + "y") == note_pair("a", "x" * MAX_VALUE)
    assert note_pair("a", "ß" * MAX_VALUE) == "\x81a=" + "s" * MAX_VALUE, "which are two letters each in small ones"
