# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z4j_agent.wire import codec
from z4j_agent.wire.codec import make_encoder

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
@settings(deadline=None)
def test_a_prepared_encoder_writes_what_the_standard_library_writes(value: Any) -> None:
    assert make_encoder((",", ":"))(value) == json.dumps(value, separators=(",", ":"))
    shown = make_encoder((", ", ": "), is_ascii=False, default=str)
    assert shown([value, object]) == json.dumps([value, object], ensure_ascii=False, default=str)


def test_a_value_without_a_form_or_that_contains_itself_is_refused() -> None:
    encode = make_encoder((",", ":"))
    with pytest.raises(TypeError):
        encode({"a": object()})
    within: list[Any] = []
    within.append(within)
    with pytest.raises(RecursionError):
        encode(within)


@pytest.mark.parametrize("otherwise", [None, lambda *options: lambda value, level: ("?",)])
def test_a_python_that_makes_encoders_in_another_way(otherwise: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "c_make_encoder", otherwise)
    assert make_encoder((",", ":"))({"é": [1, None]}) == '{"\\u00e9":[1,null]}'
