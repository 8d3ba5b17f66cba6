# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from z4j_agent.adapter import Refused
from z4j_agent.edits import apply_edit
from z4j_agent.redaction import MASK

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


@pytest.mark.parametrize(("args", "kwargs", "edit", "expected"), [
    (["a"], {"b": 1}, {}, (["a"], {"b": 1})),
    (["a", "b"], {}, {"args": {"1": "c"}}, (["a", "c"], {})),
    (["a"], {}, {"args": {"1": "b", "2": "c"}}, (["a", "b", "c"], {})),
    ([], {"a": 1}, {"kwargs": {"a": 2, "b": 3}}, ([], {"a": 2, "b": 3})),
    ([], {"a": 1, "b": 2}, {"drop": ["a", "never there"]}, ([], {"b": 2})),
    ([], {"pw": "s3cret", "user": "eve"}, {"kwargs": {"pw": MASK, "user": "adam"}}, ([], {"pw": "s3cret", "user": "adam"})),
    ([{"pw": "s", "n": 1}], {}, {"args": {"0": {"pw": MASK, "n": 2}}}, ([{"pw": "s", "n": 2}], {})),
    ([["a", "s"]], {}, {"args": {"0": ["b", MASK]}}, ([["b", "s"]], {})),
    ([], {"pin": 1234}, {"kwargs": {"pin": MASK}}, ([], {"pin": 1234})),
])  # fmt: skip
def test_what_an_edit_makes(args: list[Any], kwargs: dict[str, Any], edit: dict[str, Any], expected: Any) -> None:
    assert apply_edit(args, kwargs, edit) == expected


@pytest.mark.parametrize(("args", "kwargs", "edit", "words"), [
    ([], {}, {"args": {"1": "x"}}, "position 2"),
    ([], {}, {"args": {"x": "x"}}, "no number"),
    ([], {}, {"args": {"-1": "x"}}, "no number"),
    ([], {}, {"args": ["x"]}, "cannot be understood"),
    ([], {}, {"kwargs": "x"}, "cannot be understood"),
    ([], {}, {"kwargs": {"pw": MASK}}, "nothing there"),
    ([[]], {}, {"args": {"0": [MASK]}}, "item 1"),
    ([{}], {}, {"args": {"0": {"pw": MASK}}}, "pw is masked"),
    ([7], {}, {"args": {"0": f"user {MASK}"}}, "no text"),
])  # fmt: skip
def test_what_does_not_fit(args: list[Any], kwargs: dict[str, Any], edit: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        apply_edit(args, kwargs, edit)


@given(st.lists(JSON), st.dictionaries(st.text(), JSON))
def test_masking_everything_changes_nothing(args: list[Any], kwargs: dict[str, Any]) -> None:
    """Whatever was hidden comes back as it was, and the originals themselves stay as they are."""
    masked = {"args": {str(i): MASK for i in range(len(args))}, "kwargs": dict.fromkeys(kwargs, MASK)}
    assert apply_edit(args, kwargs, masked) == (args, kwargs)
