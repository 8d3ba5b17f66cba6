# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import inspect
from typing import Any

import pytest

from z4j.rules.task_signatures import Parameter, parse, why_not


def test_every_kind_of_parameter() -> None:
    assert parse("(a, /, b: int, c='x', *rest, d, e: str = 'y', **named) -> None") == (
        Parameter("a", "positional"),
        Parameter("b", "either", None, "int"),
        Parameter("c", "either", "'x'"),
        Parameter("rest", "rest"),
        Parameter("d", "keyword"),
        Parameter("e", "keyword", "'y'", "str"),
        Parameter("named", "named_rest"),
    )
    assert [of.name for of in parse("(a, /, b, c=1, *rest, d, e=2, **named)") or () if of.is_needed] == ["a", "b", "d"]


@pytest.mark.parametrize("text", ["", "(a", "(at=<object at 0x7f>)", "(a): pass\nclass B(", "\x00", "(" * 5000])
def test_what_is_no_source_code_is_not_known(text: str) -> None:
    assert parse(text) is None


def test_a_task_without_parameters_is_known_to_have_none() -> None:
    assert parse("()") == ()


@pytest.mark.parametrize(("signature", "args", "kwargs", "words"), [
    ("(a)", [1], {}, None),
    ("(a)", [], {"a": 1}, None),
    ("(a, b=1)", [1], {}, None),
    ("(*rest)", [1, 2, 3], {}, None),
    ("(**named)", [], {"x": 1}, None),
    ("(a)", [1, 2], {}, "takes 1 positional arguments, but 2 were given"),
    ("(a)", [1], {"a": 2}, "a was given twice"),
    ("(a)", [1], {"b": 2}, "no parameter b"),
    ("(a, /)", [], {"a": 2}, "no parameter a"),
    ("(a, *, b)", [1], {}, "b is missing"),
    ("(a, b)", [], {"b": 1}, "a is missing"),
])  # fmt: skip
def test_why_a_call_would_fail(signature: str, args: list[Any], kwargs: dict[str, Any], words: str | None) -> None:
    parameters = parse(signature)
    assert parameters is not None
    found = why_not(parameters, args, list(kwargs))
    assert found is None if words is None else words in str(found)
    made: dict[str, Any] = {}
    exec(f"def f{signature}: ...", made)  # Python itself is asked as well
    try:
        inspect.signature(made["f"]).bind(*args, **kwargs)
    except TypeError:
        assert words is not None
    else:
        assert words is None


def given(signature: str, *args: Any, **kwargs: Any) -> str | None:
    parameters = parse(signature)
    assert parameters is not None
    return why_not(parameters, args, list(kwargs))


def test_a_reason_is_a_sentence_that_names_the_parameter() -> None:
    assert given("(a, b)", 1, 2, 3) == "The task takes 2 positional arguments, but 3 were given."
    assert given("(a, b)", 1, 2, b=3, a=4) == "Argument b was given twice."
    assert given("(a)", 1, x=2, y=3) == "The task has no parameter x."
    assert given("(a, b, *, c)") == "Argument a is missing."


def test_too_many_arguments_are_taken_by_the_rest() -> None:
    assert given("(a, *rest)", 1, 2, 3) is None
    assert given("(a, *rest)") == "Argument a is missing."
    assert given("(a, *, b)", 1, 2, b=1) == "The task takes 1 positional arguments, but 2 were given."


def test_unknown_keywords_are_taken_by_the_named_rest() -> None:
    assert given("(a, **named)", 1, x=1) is None
    assert given("(a, **named)", 1, a=1) == "Argument a was given twice."
    assert given("(*rest, **named)") is None


def test_a_keyword_only_parameter_is_given_by_its_name() -> None:
    assert given("(*, a)", a=1) is None
    assert given("(*, a=1)") is None
    assert given("(*, a)") == "Argument a is missing."


def test_a_positional_parameter_with_a_default_may_be_left_out() -> None:
    assert given("(a, b=1, /)", 1) is None
    assert given("(a=1, /, b=2)") is None


def test_defaults_belong_to_the_last_parameters() -> None:
    assert [(of.name, of.default) for of in parse("(a, /, b, c=1, d=(2, 3))") or ()] == [
        ("a", None),
        ("b", None),
        ("c", "1"),
        ("d", "(2, 3)"),
    ]


@pytest.mark.parametrize("text", ["(a): ...\nx = (1", "(a) -> int: ...\ndef g()", "(a)\n", "(a, a)"])
def test_text_that_is_more_than_a_signature_is_read_at_most_as_far_as_python_would(text: str) -> None:
    """It comes from an agent: whatever it holds, nothing of it is run."""
    assert parse(text) is None or isinstance(parse(text), tuple)
