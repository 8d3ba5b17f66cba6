# SPDX-License-Identifier: Apache-2.0
"""The laws of what comes back masked: what was not changed is the original, and no mask of ours is handed on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from z4j_agent.wire.redaction import MASK, redact
from z4j_agent.wire.unmask import ABSENT, CannotUnmask, unmask

TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["postgres://ada:hunter2@db/x", "Authorization: Bearer abcdef123456abcdef", "token=s3cr3t-s3cr3t-77", "plain words", "…"]
    ),
)
NAMES = st.sampled_from(["password", "user", "token", "pin", "n", "token=s3cr3t-s3cr3t-77", "on"]) | st.text(max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


def shown(value: Any) -> Any:
    """As a page has it: redacted, and through JSON."""
    return json.loads(json.dumps(redact(value)[0], default=str))


def masks(value: Any) -> list[str]:
    """Every text and name in it that holds the mask."""
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (*masks(key), *masks(item))]
    if isinstance(value, list):
        return [text for item in value for text in masks(item)]
    return [value] if isinstance(value, str) and MASK in value else []


@given(JSON)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_was_shown_and_not_changed_is_the_original(value: Any) -> None:
    assume(MASK not in json.dumps(value, ensure_ascii=False))
    assert json.dumps(unmask(shown(value), value, "it")) == json.dumps(value)
    original = {"a": value, "b": [value, 1]}
    changed = shown(original)
    changed["b"][1] = 2
    unmasked = unmask(changed, original, "it")
    assert json.dumps(unmasked) == json.dumps({"a": value, "b": [value, 2]})


@given(JSON, JSON, st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_mask_is_handed_on(old: Any, new: Any, data: st.DataObject) -> None:
    """Whatever was typed: the original is there, or the edit is refused."""
    assume(MASK not in json.dumps(old, ensure_ascii=False))
    typed = data.draw(st.sampled_from([new, shown(old), [shown(old), new], {"a": new, MASK: 1}]))
    typed = _with_a_mask(typed, data.draw(st.integers(0, 5)), data.draw(st.sampled_from([MASK, f"x{MASK}", f"{MASK} y"])))
    for behind in (old, ABSENT):
        try:
            unmasked = unmask(typed, behind, "it")
        except CannotUnmask:
            continue
        assert masks(unmasked) == []


def _with_a_mask(value: Any, at: int, mask: str) -> Any:
    """The value with the mask somewhere in it."""
    if isinstance(value, list) and value:
        return [_with_a_mask(item, at - 1, mask) if index == at % len(value) else item for index, item in enumerate(value)]
    if isinstance(value, dict) and value:
        chosen = list(value)[at % len(value)]
        return {(mask if at == 5 else key) if key == chosen else key: _with_a_mask(item, at, mask) for key, item in value.items()}
    return mask


DSN, SHOWN_DSN = "postgres://ada:hunter2@db/x", f"postgres://{MASK}@db/x"


@pytest.mark.parametrize(("new", "old", "expected"), [
    (SHOWN_DSN, DSN, DSN),
    (MASK, {"a": [1]}, {"a": [1]}),
    (MASK, None, None),
    ({"a": f"{MASK} bullets"}, {"a": f"{MASK} bullets"}, {"a": f"{MASK} bullets"}),
    ({"token=•••": 2}, {"token=s3cr3t-s3cr3t-77": 1}, {"token=s3cr3t-s3cr3t-77": 2}),
    ([True, 1, 2], [1, True, 2], [True, 1, 2]),
    ({"all": ["… 2 more"]}, {}, {"all": ["… 2 more"]}),
])  # fmt: skip
def test_what_is_kept(new: Any, old: Any, expected: Any) -> None:
    assert json.dumps(unmask(new, old, "it")) == json.dumps(expected)


LONG, WIDE = list(range(150)), {f"k{number}": number for number in range(150)}


@pytest.mark.parametrize(("make", "old", "reason"), [
    (lambda: f"postgres://eve:{MASK}@db/x", DSN, "it was changed around a masked part; enter the complete value"),
    (lambda: SHOWN_DSN, 7, "it was changed around a masked part; enter the complete value"),
    (lambda: [SHOWN_DSN], [], "it, item 1 is masked, and no stored value exists"),
    (lambda: {f"x{MASK}": 1}, {"xy": 1}, "it has a masked key that the stored value does not have; enter the complete value"),
    (lambda: [7, *shown(LONG)[1:]], LONG, "it was not shown completely; enter the complete value"),
    (lambda: shown(WIDE) | {"k0": 7}, WIDE, "it was not shown completely; enter the complete value"),
])  # fmt: skip
def test_what_is_refused(make: Callable[[], Any], old: Any, reason: str) -> None:
    with pytest.raises(CannotUnmask) as caught:
        unmask(make(), old, "it")
    assert str(caught.value) == reason


def test_what_was_not_shown_whole_stays_whole() -> None:
    assert unmask(shown([LONG, WIDE]), [LONG, WIDE], "it") == [LONG, WIDE]
    assert unmask([shown(LONG), {"new": 1}], [LONG, WIDE], "it") == [LONG, {"new": 1}]


def test_where_only_the_agent_has_the_original_a_mask_stays() -> None:
    new = [MASK, {"a": SHOWN_DSN, MASK: 1}]
    assert unmask(new, ABSENT, "it", is_kept=False) == new
    with pytest.raises(CannotUnmask):
        unmask([f"x{MASK}"], ["y"], "it", is_kept=False)
