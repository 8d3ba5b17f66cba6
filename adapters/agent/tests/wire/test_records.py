# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from z4j_agent import wire
from z4j_agent.wire import records

HEAD = ("fake", "t1", 0, 5, "b.1", "shop.ship", "work")
END = {"started_at": 1, "runtime": None, "reason": "r", "error": 'e"\n'}
USAGE = ",[120,1,51200,0,0]"
MADE = {
    "enqueued": records.enqueued(*HEAD, eta=9, meta=records.meta({"parent_id": "p", "eager": False, "priority": 0})),
    "received": records.received(*HEAD),
    "started": records.started(*HEAD),
    "succeeded": records.succeeded(*HEAD, received_at=None, started_at=1, runtime=2, result="é", usage=USAGE),
    "failed": records.failed(*HEAD, received_at=1, error_type="E", traceback="t", usage=USAGE, **END),  # type: ignore[arg-type]
    "retried": records.retried(*HEAD, eta=3, error_type="E", traceback="t", usage=USAGE, **END),  # type: ignore[arg-type]
    "cancelled": records.cancelled(*HEAD, **END),  # type: ignore[arg-type]
    "expired": records.expired(*HEAD),
    "rejected": records.rejected(*HEAD, **END),  # type: ignore[arg-type]
    "lost": records.lost(*HEAD, reason="child_killed"),
    "payload": records.payload(*HEAD, rank=2, args="[]", is_masked=True, original=("k", b"x"), original_state="sealed"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MADE)
def test_records_have_the_layout_of_the_wire(kind: str) -> None:
    [record] = [json.loads(part) for part in wire.split_records(MADE[kind])]
    assert MADE[kind].startswith(wire.RECORD_START)
    assert MADE[kind].endswith(wire.RECORD_END)
    assert record[:8] == [kind, *HEAD]
    assert len(record) == 8 + len(wire.TASK_RECORDS[kind])
    assert MADE[kind] == wire.encode_record(record)


def test_a_run_that_was_not_measured_has_no_usage() -> None:
    [record] = [
        json.loads(part) for part in wire.split_records(records.succeeded(*HEAD, received_at=1, started_at=1, runtime=2, result=""))
    ]
    assert len(record) == 8 + len(wire.TASK_RECORDS["succeeded"]) - 1


def test_meta_leaves_out_what_is_empty() -> None:
    assert records.meta({"a": None, "b": "", "c": False}) == "null"
    assert json.loads(records.meta({"a": 0, "b": True})) == {"a": 0, "b": True}


def test_batches_carry_their_number() -> None:
    assert wire.unpack_batch(wire.pack_batch(3, b"x")) == (3, b"x")
    with pytest.raises(ValueError, match="eight bytes"):
        wire.unpack_batch(b"short")
