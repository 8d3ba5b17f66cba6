# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which process is the present one of a worker."""

from __future__ import annotations

from tests.unit.rules.findings.examples import T
from tests.unit.rules.findings.fleet.examples import process, silent
from z4j.rules.findings.fleet.process import MINUTE_US, SECOND_US, present


def test_one_process_of_each_worker_is_present() -> None:
    old, new = silent("w1", boot="old"), process("w1", boot="new")
    assert present([new, old]) == present([old, new]) == [new]
    first, second = process("w2", boot="a"), process("w2", boot="b", began_at=T - SECOND_US)
    assert present([first, second]) == [second]
    assert present([process("p", role="producer")]) == []


def test_a_worker_whose_slot_was_taken_is_not_present() -> None:
    gone, successor = silent("w-8121", seat="1"), process("w-9000", seat="1", began_at=T - 60 * SECOND_US)
    assert present([gone, successor]) == [successor]
    assert present([gone, process("w-9000", seat="2", began_at=T - 60 * SECOND_US)]) == [
        gone, process("w-9000", seat="2", began_at=T - 60 * SECOND_US),
    ]  # fmt: skip


def test_a_silent_process_was_gone_before_that_was_noticed() -> None:
    gone = silent("w-8121", quiet_s=60, seat="1")
    successor = process("w-9000", seat="1", began_at=T - 45 * SECOND_US)
    assert gone.left_at is not None
    assert successor.began_at < gone.left_at
    assert present([gone, successor]) == [successor]


def test_a_silent_process_ended_ten_seconds_after_its_last_heartbeat() -> None:
    assert (SECOND_US, MINUTE_US) == (1_000_000, 60_000_000)
    gone = silent("w-8121", quiet_s=60, seat="1")
    for began_s, is_successor in ((50, True), (51, False)):
        successor = process("w-9000", seat="1", began_at=T - began_s * SECOND_US)
        assert present([gone, successor]) == ([successor] if is_successor else [gone, successor]), began_s
    assert (process().skew_us, process().spool_bytes, process().last_running) == (0, 0, 0)
