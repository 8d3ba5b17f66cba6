# SPDX-License-Identifier: AGPL-3.0-or-later
"""Counts what agents have sent since this server started, for /metrics."""

from __future__ import annotations

from collections.abc import Mapping


class IngestTotals:
    """One per gateway. Batches that could not be stored are not counted: agents send them again."""

    def __init__(self) -> None:
        self.batches = 0
        self.bytes = 0
        self.records = 0
        self.refused = 0
        self.lag_us: dict[int, int] = {}
        """App id → how old the newest record of its last batch was when that was stored, by the clocks of both hosts."""

    def add(self, app_id: int, size: int, records: int, refused: Mapping[str, int], newest_at: int, at: int) -> None:
        """Counts a batch of `size` bytes that was stored `at` (microseconds UTC); `newest_at` is when its newest record was made, 0: not
        known."""
        self.batches += 1
        self.bytes += size
        self.records += records
        self.refused += sum(refused.values())
        if newest_at:
            self.lag_us[app_id] = max(0, at - newest_at)
