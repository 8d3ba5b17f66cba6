# SPDX-License-Identifier: AGPL-3.0-or-later
"""Limits how many bytes of one app may wait for the writer: beyond the limit, its connections are not read, and TCP slows its agents
down."""

from __future__ import annotations

import asyncio
from typing import Final

BYTES_PER_APP: Final = 8 * 1024 * 1024


class Backpressure:
    """One per gateway. A batch is always taken when nothing of its app waits, however long it is."""

    def __init__(self, limit: int = BYTES_PER_APP) -> None:
        self._limit = limit
        self._waiting: dict[int, int] = {}
        self._freed = asyncio.Condition()

    async def take(self, app_id: int, size: int) -> None:
        """Returns when there is room for a batch of this size."""
        async with self._freed:
            await self._freed.wait_for(lambda: self.bytes_of(app_id) + size <= max(self._limit, size))
            self._waiting[app_id] = self.bytes_of(app_id) + size

    async def give_back(self, app_id: int, size: int) -> None:
        """Releases the bytes of a batch that is stored, or whose connection ended."""
        async with self._freed:
            left = self.bytes_of(app_id) - size
            if left > 0:
                self._waiting[app_id] = left
            else:
                self._waiting.pop(app_id, None)
            self._freed.notify_all()

    def bytes_of(self, app_id: int) -> int:
        """Returns how many bytes of an app's batches wait."""
        return self._waiting.get(app_id, 0)
