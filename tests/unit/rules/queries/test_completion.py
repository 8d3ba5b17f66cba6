# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import pytest

from z4j.rules.queries.completion import Completion, LastWord, fields_for, fixed_values, last_word, values_for
from z4j.rules.queries.fields import FIELDS
from z4j.rules.queries.parse import parse


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", LastWord("", False, "", "")),
        ('"free text" sta', LastWord('"free text" ', False, "", "sta")),
        ('queue:"a b" name:x', LastWord('queue:"a b" name:', False, "name", "x")),
        ("state:failed ", LastWord("state:failed ", False, "", "")),
        ("sta", LastWord("", False, "", "sta")),
        ("a -na", LastWord("a ", True, "", "na")),
        ("a state:fa", LastWord("a state:", False, "state", "fa")),
        ("a -task:x", LastWord("a -task:", True, "name", "x")),
        ("queue:a,b", LastWord("queue:a,", False, "queue", "b")),
        ("caller:a:b", LastWord("caller:", False, "caller", "a:b")),
        ('"free te', None),
        ('queue:"a b"', None),
        ('queue:"ab"', None),
        ('"done"', None),
        ("stat:x", None),
        ("args.user_id:4", None),
    ],
)
def test_the_last_word(text: str, word: LastWord | None) -> None:
    assert last_word(text) == word


def test_fields() -> None:
    word = last_word("queue:a -e")
    assert word is not None
    assert [of.text for of in fields_for(word)] == [
        "queue:a -engine:", "queue:a -env:", "queue:a -error:", "queue:a -error_group:", "queue:a -enqueued:"
    ]  # fmt: skip
    everything = last_word("")
    assert everything is not None
    assert len(fields_for(everything)) == len(FIELDS)
    assert fields_for(everything)[1] == Completion("name:", FIELDS["name"].hint)
    args = last_word("arg")
    assert args is not None
    assert [of.text for of in fields_for(args)] == ["args."]


def test_values() -> None:
    word = last_word("a queue:ma")
    assert word is not None
    found = values_for(word, [("e mail", "3 tasks"), ("mail,1", "2 tasks"), ("other", "")])
    assert found == [Completion('a queue:"mail,1"', "2 tasks"), Completion('a queue:"e mail"', "3 tasks")]
    assert [parse(of.text).of("queue")[0].value for of in found] == ["mail,1", "e mail"]
    order = last_word("order:r")
    assert order is not None
    assert values_for(order, [(value, "") for value in fixed_values("order")]) == [
        Completion("order:ran", ""),
        Completion("order:first", ""),
    ]


def test_errors_are_found_by_their_titles() -> None:
    errors = [("12", "KeyError: 'sku'"), ("120", "OSError: no"), ("7", "Key gone")]
    for typed, numbers in (("12", ["12", "120"]), ("KEY", ["12", "7"]), ("", ["12", "120", "7"]), ("x", [])):
        word = last_word(f"-error_group:{typed}")
        assert word is not None
        assert [found.text for found in values_for(word, errors)] == [f"-error_group:{number}" for number in numbers]
    queue = last_word("queue:tasks")
    assert queue is not None
    assert values_for(queue, [("mail", "3 tasks")]) == []


def test_fixed_values() -> None:
    assert "failed" in fixed_values("state")
    assert fixed_values("since") == fixed_values("until") == ["15m", "1h", "24h", "7d"]
    assert fixed_values("order") == ["first", "ran", "waited"]
    assert fixed_values("enqueued") == ["known", "unknown"]
    assert fixed_values("queue") == []
