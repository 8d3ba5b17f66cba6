# SPDX-License-Identifier: AGPL-3.0-or-later
"""Checkpoints the write-ahead log of the database."""

from __future__ import annotations

from typing import Final

from z4j.store.sqlite.db import Store

CHECKPOINT_US: Final = 30 * 1_000_000
WAL_BYTES: Final = 4_000_000


class DatabaseCheckpoint:
    """One per server."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._checkpoint_at = 0

    async def checkpoint(self, at: int) -> None:
        """Keeps the write-ahead log short: at once while much is written, else twice a minute."""
        is_time = at - self._checkpoint_at >= CHECKPOINT_US or at < self._checkpoint_at
        await self.store.checkpoint(0 if is_time else WAL_BYTES)
        if is_time:
            self._checkpoint_at = at
