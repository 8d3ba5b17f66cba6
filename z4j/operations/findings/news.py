# SPDX-License-Identifier: AGPL-3.0-or-later
"""Caches the news of the last days for some seconds, so that their number on every page costs no read."""

from __future__ import annotations

from typing import Final

from z4j import clock
from z4j.clock import DAY_US
from z4j.rules.findings import news
from z4j.rules.findings.news import News
from z4j.store.findings.news import list_news
from z4j.store.sqlite.db import Store

KEPT_US: Final = 5_000_000
DAYS: Final = 14


class NewsService:
    """One per server."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._until = 0
        self._news: tuple[News, ...] = ()

    async def recent(self) -> tuple[News, ...]:
        """Returns the news of the last DAYS days, the newest first, as of a few seconds ago. Raises StoreError."""
        if clock.ticks() >= self._until:
            self._until = clock.ticks() + KEPT_US  # before the read: concurrent requests use the cached value
            self._news = await list_news(self.store, clock.now() - DAYS * DAY_US)
        return self._news

    async def unread(self, name: str, read_until: int) -> list[News]:
        """Returns the unread ones of a user, who has read up to a time in microseconds UTC."""
        return news.unread(await self.recent(), name, read_until)
