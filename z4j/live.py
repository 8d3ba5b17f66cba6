# SPDX-License-Identifier: AGPL-3.0-or-later
"""Notifies open pages of changes: topics only, never data. Changes in quick succession are combined."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Final

from z4j import clock

TOPICS: Final = ("tasks", "workers", "queues", "changes", "plans", "schedules", "errors", "strip")
LOOK_S: Final = 1.0
QUIET_S: Final = 0.5
"""A page is notified of changes at most this often."""


class Live:
    """One per server. `changed` may be called from the event loop at any rate; it costs one set update per open page."""

    def __init__(self) -> None:
        self._waiting: set[_Subscriber] = set()
        self._changed_at: dict[str, int] = {}
        self._is_ended = False

    @property
    def changed_at(self) -> int:
        """When anything changed last (microseconds UTC), 0 before the first change. Other threads may ask."""
        return max(list(self._changed_at.values()), default=0)

    def changed(self, topics: Iterable[str]) -> None:
        """Publishes that these topics changed. Must be called after the commit."""
        at, topics = clock.now(), tuple(topics)
        self._changed_at.update((topic, at) for topic in topics)
        for subscriber in self._waiting:
            subscriber.topics.update(topics)
            if subscriber.topics:
                subscriber.woken.set()

    async def subscribe(self, since: int | None = None) -> AsyncIterator[set[str]]:
        """Sets of topics as they change; an empty set every second without a change, so that the reader can look at other things.

        `since` is when the page was made (microseconds UTC): changes between then and now are sent first.
        """
        subscriber = _Subscriber()
        if since is not None and since > clock.now():
            since = 0  # the clock was set back since the page was made
        if since is not None and (missed := {topic for topic, at in self._changed_at.items() if at >= since}):
            subscriber.topics |= missed
            subscriber.woken.set()
        self._waiting.add(subscriber)
        try:
            while not self._is_ended:
                try:
                    await asyncio.wait_for(subscriber.woken.wait(), timeout=LOOK_S)
                except TimeoutError:
                    yield set()
                    continue
                topics, subscriber.topics = subscriber.topics, set()
                subscriber.woken.clear()
                if topics:
                    yield topics
                    await asyncio.sleep(QUIET_S)
        finally:
            self._waiting.discard(subscriber)

    def end(self) -> None:
        """Lets every open page go; the server is about to stop."""
        self._is_ended = True
        for subscriber in self._waiting:
            subscriber.woken.set()

    @property
    def pages(self) -> int:
        """How many pages listen."""
        return len(self._waiting)


class _Subscriber:
    def __init__(self) -> None:
        self.topics: set[str] = set()
        self.woken = asyncio.Event()
