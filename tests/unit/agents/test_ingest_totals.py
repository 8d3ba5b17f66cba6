# SPDX-License-Identifier: AGPL-3.0-or-later
"""What agents have sent is counted when it was stored."""

from __future__ import annotations

from z4j.agents.ingest_totals import IngestTotals


def test_batches_add_up_and_lag_is_that_of_the_last_one() -> None:
    totals = IngestTotals()
    totals.add(1, 100, 9, {"torn": 1, "unknown": 2}, 1_000_000, 4_000_000)
    totals.add(1, 50, 1, {}, 0, 5_000_000)
    assert (totals.batches, totals.bytes, totals.records, totals.refused) == (2, 150, 10, 3)
    assert totals.lag_us == {1: 3_000_000}, "a batch without a task says nothing of the lag"
    totals.add(1, 50, 1, {}, 9_000_000, 5_000_000)
    assert totals.lag_us == {1: 0}, "a clock that is ahead is no negative lag"
