# SPDX-License-Identifier: Apache-2.0
"""Overrides over the code's entries, by one rule for all schedulers. How they are kept on the disk is in `test_kept`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from z4j_agent.capture.guard import faults
from z4j_agent.contract.capabilities import Refused
from z4j_agent.contract.interrupts import never_swallow
from z4j_agent.contract.overrides import NO_ENTRY, NO_SPEC, OverrideStore, Resolved, merge_arguments, resolve
from z4j_agent.contract.scheduler import Override, ScheduleSpec, overrides_of, spec_of
from z4j_agent.wire.redaction import MASK

CODED = {"nightly", "hourly", "weekly"}


def spec(**fields: Any) -> ScheduleSpec:
    return spec_of({"kind": "cron", "expression": "* * * * *", "task_name": "app.send"} | fields)


def override(key: str, *, changed: ScheduleSpec | None = None, is_new: bool = False, is_deleted: bool = False, on: bool = True) -> Override:
    return Override(key, is_new, is_deleted, on, changed)


def build(override: Override, requested: ScheduleSpec) -> str:
    if requested.queue == "unknown":
        raise Refused("there is no such queue")
    if requested.queue == "odd":
        raise KeyError("what nobody foresaw")
    return f"{override.key} {requested.expression}"


def test_what_overrides_make_of_the_code() -> None:
    resolved = resolve(
        [
            override("z4j:new", changed=spec(expression="1 1 * * *"), is_new=True),
            override("nightly", changed=spec(expression="2 2 * * *")),
            override("hourly", is_deleted=True),
            override("gone", is_deleted=True),  # not there, as was wanted
            override("weekly", on=False),
        ],
        CODED,
        build,
    )
    changed = {"z4j:new": "z4j:new 1 1 * * *", "nightly": "nightly 2 2 * * *"}
    assert resolved == Resolved(changed, frozenset({"hourly", "gone"}), frozenset({"weekly"}), {})
    assert list(resolved.changed) == ["z4j:new", "nightly"], "in their order"


def test_an_override_that_is_on_and_says_nothing_is_the_code() -> None:
    assert resolve([override("nightly")], CODED, build) == Resolved()


def test_one_that_cannot_hold_does_not_stop_the_others() -> None:
    total = faults.total
    resolved = resolve(
        [
            override("gone", changed=spec()),
            override("gone too", on=False),
            override("z4j:empty", is_new=True),
            override("nightly", changed=spec(queue="unknown")),
            override("hourly", changed=spec(queue="odd")),
            override("weekly", changed=spec()),
        ],
        CODED,
        build,
    )
    assert resolved.failed == {
        "gone": NO_ENTRY,
        "gone too": NO_ENTRY,
        "z4j:empty": NO_SPEC,
        "nightly": "there is no such queue",
        "hourly": "it failed with KeyError",
    }
    assert list(resolved.changed) == ["weekly"]
    assert faults.total == total + 1, "what nobody foresaw is reported"


def test_what_an_engine_raises_into_our_code_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Shutdown(Exception): ...

    monkeypatch.setattr("z4j_agent.contract.interrupts._host_exceptions", ())
    never_swallow(Shutdown)

    def stopped(override: Override, requested: ScheduleSpec) -> str:
        raise Shutdown

    with pytest.raises(Shutdown):
        resolve([override("nightly", changed=spec())], CODED, stopped)


# -- arguments -----------------------------------------------------------------------------------------------------------
def test_what_a_spec_leaves_out_stays_and_is_a_copy() -> None:
    args, kwargs = [1], {"a": 1}
    merged = merge_arguments(spec(), tuple(args), kwargs)
    assert merged == ([1], {"a": 1})
    merged[1]["b"] = 2
    assert kwargs == {"a": 1}
    assert merge_arguments(spec()) == ([], {})
    assert merge_arguments(spec(args=[2]), args, kwargs) == ([2], {"a": 1})
    assert merge_arguments(spec(kwargs={}), args, None) == ([1], {})


def test_what_is_masked_stays_and_what_was_changed_around_a_mask_is_refused() -> None:
    old = (["s3cret", "mail"], {"dsn": "postgres://ada:hunter2@db/x"})
    shown = f"postgres://{MASK}@db/x"
    assert merge_arguments(spec(args=[MASK, "post"], kwargs={"dsn": shown}), *old) == (["s3cret", "post"], old[1])
    for edited in (spec(kwargs={"dsn": shown + "?ssl"}), spec(args=[f"not {MASK}"])):
        with pytest.raises(Refused, match="was changed around a masked part; enter the complete value"):
            merge_arguments(edited, *old)
    with pytest.raises(Refused, match="args, item 3 is masked, and no stored value exists"):
        merge_arguments(spec(args=["a", "b", MASK]), *old)


# -- the store -----------------------------------------------------------------------------------------------------------
FIELDS: list[Any] = [{"key": "nightly", "is_enabled": False}]


def test_what_cannot_be_read_any_more_goes_on_holding(tmp_path: Path) -> None:
    store = OverrideStore(tmp_path, "test", "arq_cron")
    store.replace(FIELDS)
    (path,) = tmp_path.iterdir()
    other = OverrideStore(tmp_path, "test", "arq_cron")
    assert other.read() == overrides_of(FIELDS)
    for content in (b"", b"7", b'{"overrides": 7}', b'{"overrides": [7]}', b'{"sealed": 7}', b'{"sealed": "x", "key_id": 1}'):
        path.write_bytes(content)
        assert not other.changed()
        assert other.read() == overrides_of(FIELDS), content
        assert OverrideStore(tmp_path, "test", "arq_cron").read() == []
    path.unlink()
    assert other.read() == overrides_of(FIELDS)
