# SPDX-License-Identifier: Apache-2.0
"""The short ways of numbers lead to the same text as the long one, and nowhere past a secret."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z4j_agent.capture.display import show, show_arguments
from z4j_agent.wire.redaction import MASK, redact, redact_arguments

NUMBERS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
NAMES = st.lists(st.sampled_from(["count", "pin", "password", "account", "otp"]), max_size=4).map(tuple)


@given(st.lists(NUMBERS, max_size=5), NAMES, st.booleans())
@settings(deadline=None)
def test_numbers_are_shown_as_if_each_was_looked_at(args: list[Any], names: tuple[str, ...], is_tuple: bool) -> None:
    shown, is_masked = redact_arguments(args, names, ("account",))
    expected = json.dumps(shown, ensure_ascii=False), is_masked
    assert show_arguments(tuple(args) if is_tuple else args, {}, ("account",), names) == expected


@pytest.mark.parametrize("name", ["pin", "account"])
def test_a_number_whose_name_is_secret_is_masked(name: str) -> None:
    assert show_arguments([1, 471_199], {}, ("account",), ("count", name)) == (f'[1, "{MASK}"]', True)


def test_numbers_of_any_length() -> None:
    huge = 10**5_000
    assert show_arguments([huge], {})[0] == json.dumps(redact([huge])[0])
    assert show(huge)[0] == json.dumps(redact(huge)[0])
    assert show_arguments([7] * 150, {})[0].endswith('"… 50 more"]')


@given(NUMBERS)
@settings(deadline=None)
def test_a_result_that_is_a_number(value: Any) -> None:
    assert show(value) == (json.dumps(value), False)


class Touchy(list[int]):
    def __bool__(self) -> bool:
        raise RuntimeError("the application's code was called")


def test_empty_arguments_and_those_of_the_application() -> None:
    assert show_arguments((), {}) == ("[]", False)
    assert show_arguments([], None) == ("[]", False)
    assert show_arguments([], {"a": 1}) == ('{"a": 1}', False)
    with pytest.raises(RuntimeError):
        bool(Touchy())
    assert show_arguments([Touchy([1])], {}) == ("[[1]]", False)
