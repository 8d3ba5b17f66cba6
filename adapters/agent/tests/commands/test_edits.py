# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z4j_agent.commands.edits import apply_edit, is_editable
from z4j_agent.contract.adapter import Refused
from z4j_agent.wire.redaction import MASK, redact_text

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)

DSN = "postgres://ada:hunter2@db/x"


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
    ([DSN, 1], {}, {"args": {"0": redact_text(DSN), "1": 2}}, ([DSN, 2], {})),
])  # fmt: skip
def test_what_an_edit_makes(args: list[Any], kwargs: dict[str, Any], edit: dict[str, Any], expected: Any) -> None:
    assert apply_edit(args, kwargs, edit) == expected


@pytest.mark.parametrize(("args", "kwargs", "edit", "words"), [
    ([], {}, {"args": {"1": "x"}}, "position 2"),
    ([], {}, {"args": {"x": "x"}}, "not a number"),
    ([], {}, {"args": {"-1": "x"}}, "not a number"),
    ([], {}, {"args": ["x"]}, "edit is not valid"),
    ([], {}, {"kwargs": "x"}, "edit is not valid"),
    ([], {}, {"kwargs": {"pw": MASK}}, "pw is masked, and no stored value exists"),
    ([], {"token=s3cr3t-s3cr3t": 1}, {"kwargs": {f"token={MASK}": 2}}, "masked name"),
    ([[]], {}, {"args": {"0": [MASK]}}, "item 1"),
    ([{}], {}, {"args": {"0": {"pw": MASK}}}, "pw is masked"),
    ([7], {}, {"args": {"0": f"user {MASK}"}}, "argument 1 was changed around a masked part"),
    ([DSN], {}, {"args": {"0": f"postgres://ada:{MASK}@other/x"}}, "argument 1 was changed around a masked part"),
    ([], {"to": {"dsn": DSN}}, {"kwargs": {"to": {"dsn": f"{MASK} and more"}}}, "to, dsn was changed around a masked part"),
])  # fmt: skip
def test_what_does_not_fit(args: list[Any], kwargs: dict[str, Any], edit: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        apply_edit(args, kwargs, edit)


@given(st.lists(JSON), st.dictionaries(st.text(), JSON))
@settings(deadline=None)
def test_masking_everything_changes_nothing(args: list[Any], kwargs: dict[str, Any]) -> None:
    """Whatever was hidden comes back as it was, and the originals themselves stay as they are."""
    masked = {"args": {str(i): MASK for i in range(len(args))}, "kwargs": dict.fromkeys(kwargs, MASK)}
    assert apply_edit(args, kwargs, masked) == (args, kwargs)


DAY, AT, ID = date(2026, 1, 31), datetime(2026, 1, 31, 9, 30, tzinfo=UTC), UUID("0b6f3e1c-8d0a-4a53-9a53-3c1f5d2e7a10")


@pytest.mark.parametrize(("old", "typed", "new"), [
    (DAY, "2026-02-01", date(2026, 2, 1)),
    (AT, "2026-02-01 10:00:00+00:00", datetime(2026, 2, 1, 10, tzinfo=UTC)),
    (AT, "2026-02-01T10:00:00", datetime(2026, 2, 1, 10)),  # noqa: DTZ001
    (time(9, 30), "10:15", time(10, 15)),
    (ID, "1b6f3e1c-8d0a-4a53-9a53-3c1f5d2e7a10", UUID("1b6f3e1c-8d0a-4a53-9a53-3c1f5d2e7a10")),
    (Decimal("12.50"), "13.10", Decimal("13.10")),
    (Decimal("12.50"), 13, Decimal(13)),
    (DAY, None, None),
    (DAY, MASK, DAY),
    ({"on": DAY, "n": 1}, {"on": "2026-02-01", "n": 2}, {"on": date(2026, 2, 1), "n": 2}),
    ([ID], [str(ID)], [ID]),
    ("text", {"__type__": "date", "__value__": "2026-02-01"}, date(2026, 2, 1)),
    (DAY, {"__type__": "decimal", "__value__": "1.5"}, Decimal("1.5")),
    ({"__type__": "order", "__value__": 1}, {"__type__": "order", "__value__": 2}, {"__type__": "order", "__value__": 2}),
    ({"__type__": "order", "__value__": [DAY]}, {"__type__": "order", "__value__": [MASK]}, {"__type__": "order", "__value__": [DAY]}),
    (1, {"__type__": ["x"], "__value__": 1}, {"__type__": ["x"], "__value__": 1}),
])  # fmt: skip
def test_a_value_keeps_its_type(old: Any, typed: Any, new: Any) -> None:
    assert is_editable((old,))
    (edited,), _ = apply_edit([old], {}, {"args": {"0": typed}})
    assert (edited, type(edited)) == (new, type(new))
    _, named = apply_edit([], {"a": old}, {"kwargs": {"a": typed}})
    assert named == {"a": new}


@pytest.mark.parametrize(("old", "typed", "words"), [
    (DAY, "tomorrow", "of the type date: write it as text such as"),
    (DAY, 5, "of the type date"),
    (AT, True, "of the type datetime"),
    (ID, "x", "of the type uuid"),
    (Decimal(1), "a lot", "of the type decimal"),
    (Decimal(1), True, "of the type decimal"),
    (DAY, {"__type__": "bytes", "__value__": "x"}, "names the type 'bytes'"),
    (DAY, {"__type__": ["x"], "__value__": "x"}, "names the type"),
    (DAY, {"__type__": {}, "__value__": "x"}, "names the type"),
])  # fmt: skip
def test_what_is_not_of_the_type_is_refused(old: Any, typed: Any, words: str) -> None:
    with pytest.raises(Refused, match=words):
        apply_edit([old], {}, {"args": {"0": typed}})


@pytest.mark.parametrize("value", [object(), {1: 2}, {DAY: 1}, b"x", {1}, [object()]])
def test_what_an_edit_cannot_hold(value: Any) -> None:
    assert not is_editable([value])
