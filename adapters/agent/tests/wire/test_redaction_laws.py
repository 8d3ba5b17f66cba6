# SPDX-License-Identifier: Apache-2.0
"""Whatever a task is given: nothing raises, no canary survives, and the line fits."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("hypothesis")
from hypothesis import given, settings
from hypothesis import strategies as st

from z4j_agent import wire
from z4j_agent.capture import display
from z4j_agent.wire.redaction import MASK, redact, redact_text

CANARY = "hunter2-canary"
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner), max_leaves=20)
secret_keys = st.sampled_from(["password", "Api-Key", "accessToken", "client_secret", "AUTHORIZATION"])


@given(values)
@settings(deadline=None)
def test_never_raises_and_is_json(value: Any) -> None:
    shown, _ = redact(value)
    json.dumps(shown)
    line, _ = display.show_arguments(value, {"k": value})
    assert len(line) <= 2_100
    line.encode()


@given(values, secret_keys, st.lists(st.integers(0, 2), max_size=5))
@settings(deadline=None)
def test_a_canary_behind_a_secret_key_never_shows(value: Any, key: str, path: list[int]) -> None:
    hidden: Any = {key: CANARY, "other": value}
    for turn in path:
        hidden = [hidden] if turn == 0 else {"inner": hidden} if turn == 1 else (value, hidden)
    shown, is_masked = redact(hidden)
    assert is_masked
    assert CANARY not in json.dumps(shown)


@given(st.text(max_size=30), secret_keys, st.sampled_from(["=", ": ", " = ", '": "', "': '"]))
@settings(deadline=None)
def test_a_canary_in_text_never_shows(before: str, key: str, joint: str) -> None:
    assert CANARY not in redact_text(f"{before} {key}{joint}{CANARY}")


@given(values)
@settings(deadline=None)
def test_masking_twice_is_masking_once(value: Any) -> None:
    once, _ = redact(value)
    assert json.dumps(redact(once)[0]).count(MASK) >= json.dumps(once).count(MASK)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=20)))
def test_a_torn_record_harms_only_itself(parts: list[bytes]) -> None:
    good = wire.encode_record(["r", 1])
    torn = [b"\x1e" + part.replace(wire.RECORD_START, b"").replace(wire.RECORD_END, b"") for part in parts]
    data = good.join(torn)
    assert wire.split_records(data).count(good[1:-1]) == max(0, len(parts) - 1)
