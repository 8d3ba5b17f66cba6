# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import json

import pytest

from z4j.rules.queries.arguments import MAX_PAIRS, MAX_VALUE, arguments_of, has_argument, pairs_of
from z4j_agent.wire.redaction import MASK


def test_arguments() -> None:
    assert arguments_of('[1, "a"] {"k": 2}') == ([1, "a"], {"k": 2})
    assert arguments_of('{"k": [1]}') == ([], {"k": [1]})
    assert arguments_of("[1, 2…") is None
    assert arguments_of("7") is None
    assert arguments_of("[" * 100_000) is None
    assert arguments_of("") == ([], {})


def test_pairs() -> None:
    text = '[42, "Bob", null, true, 1.5] {"user": {"id": 7, "Tags": ["x", "y"]}}'
    assert pairs_of(text) == {
        "0=42", "1=bob", "2=null", "3=true", "4=1.5", "user.id=7", "user.tags.0=x", "user.tags.1=y", "user.tags=x", "user.tags=y",
    }  # fmt: skip
    assert pairs_of("[1, 2…") == set()


def test_a_masked_value_is_under_no_path() -> None:
    assert pairs_of(json.dumps({"password": MASK, "url": f"amqp://x:{MASK}@h", "id": 1}, ensure_ascii=False)) == {"id=1"}
    assert not has_argument(pairs_of(json.dumps([MASK], ensure_ascii=False)), "0", MASK, is_prefix=False)


def test_bounds() -> None:
    assert (MAX_PAIRS, MAX_VALUE) == (64, 100)
    assert pairs_of(json.dumps(["ß" * 90])) == {"0=" + "s" * 100}
    assert has_argument(pairs_of(json.dumps(["ß" * 90])), "0", "ß" * 90, is_prefix=False)
    assert has_argument(pairs_of("[1, 23]"), "1", "2", is_prefix=True)
    assert pairs_of(f"[1.{'5' * 150}]") == {f"0={float('1.' + '5' * 150)}"}
    assert pairs_of("[[[[[[1]]]]]]") == set()
    assert pairs_of("[[[[1]]]]") == {"0.0.0.0=1", "0.0.0=1"}
    assert pairs_of('{"a": 1' + "0" * 200 + "}") == {"a=1" + "0" * 99}
    assert len(pairs_of(json.dumps(list(range(500))))) == MAX_PAIRS
    assert pairs_of('{"a": {"b": {"c": {"d": {"e": 1}}}}}') == set()
    assert pairs_of('{"a": {"b": {"c": {"d": 1}}}}') == {"a.b.c.d=1"}
    assert has_argument(pairs_of(json.dumps(["x" * 500])), "0", "x" * 500, is_prefix=False)
    assert pairs_of(json.dumps(["x" * 500])) == {"0=" + "x" * MAX_VALUE}


@pytest.mark.parametrize(
    ("path", "value", "is_prefix", "has"),
    [
        ("user_id", "42", False, True),
        ("USER_ID", "42", False, True),
        ("user_id", "4", False, False),
        ("user_id", "4", True, True),
        ("id", "42", False, False),
    ],
)
def test_an_argument(path: str, value: str, is_prefix: bool, has: bool) -> None:
    assert has_argument(pairs_of('{"user_id": 42}'), path, value, is_prefix=is_prefix) is has
