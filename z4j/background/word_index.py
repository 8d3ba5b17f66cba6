# SPDX-License-Identifier: AGPL-3.0-or-later
"""Keeps the index of words (store/search/word_index.py) a second or two behind the tasks, in slices that others get turns between.

New tasks are indexed when they are a second old, so that most have ended and are indexed once. Then come tasks that changed since, then
tasks from before there was an index, the newest first. Tables of days without tasks are dropped,
and those of days with few tasks left are made again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import Final

from z4j import clock
from z4j.clock import DAY_US
from z4j.store.search import word_index
from z4j.store.search.word_index import Entry
from z4j.store.sqlite.db import Connection, Store

SLICE_S: Final = 0.006
"""How long one slice may hold the writer, without the commit: acks wait for its end."""
CHUNK: Final = 1_000
"""Tasks that are read at a time."""
MERGES: Final = 2
"""Slices of merging after each chunk. They need a third of one on average, and the largest merges many in a row."""
SETTLE_US: Final = 1_000_000
ROUND_US: Final = 10_000_000
"""A round ends after this time, so that the duty reports progress; the next one continues."""
DAYS_US: Final = 60_000_000
"""How often tables of old days are searched for."""
THIN_US: Final = 3_600_000_000
"""How often days are searched for of which most tasks were deleted."""
RATE_US: Final = 60_000_000


@dataclass(frozen=True, slots=True)
class IndexReport:
    """How far the index is, for people. `lag_us`: for how long a task has been waiting that is not in it; 0 when none is."""

    lag_us: int = 0
    waiting: int = 0
    """Tasks that came or changed since; those that came within the last second or two are always among them."""
    old_left: int = 0
    """Row ids from before there was an index that are still to be indexed."""
    indexed: int = 0
    """Tasks since the server started; one that changed counts again."""
    indexed_per_s: float = 0.0
    """Over the last minute."""


class WordIndexDuty:
    """One per server."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.report = IndexReport()
        self._unmerged: set[int] = set()
        """Days to whose tables words were added since nothing was left to merge."""
        self._seen: deque[tuple[int, int]] = deque()
        """(tick, the highest row id there was), oldest first: those that are not indexed yet, and the last one that is."""
        self._drained = clock.ticks()
        self._days_at: int | None = None
        self._thin_at: int | None = None
        self._recent: deque[tuple[int, int]] = deque()
        self._indexed = 0

    @property
    def indexed(self) -> int:
        """Returns how many tasks were indexed since the server started; one that changed counts again."""
        return self._indexed

    async def round(self, at: int) -> int:
        """Indexes until nothing is left, or for `ROUND_US`. Returns how many tasks were indexed."""
        ends, before, oldest_day = clock.ticks() + ROUND_US, self._indexed, at // DAY_US - word_index.MAX_DAYS
        is_left = True
        while is_left and clock.ticks() < ends:
            places = await word_index.positions(self.store)
            self._note_newest(places.newest)
            settled = self._settled()
            if places.to < settled:
                await self._index_new(places.to, settled, oldest_day)
            changed = await self._index_changed(oldest_day)
            is_behind = changed == CHUNK or settled - places.to > CHUNK
            if not is_behind and places.back > 1:
                await self._index_old(places.back, oldest_day)
            await self._merge()
            is_left = is_behind or places.back > 1
            await self._note()
        if self._days_at is None or at - self._days_at >= DAYS_US or at < self._days_at:
            self._days_at = at
            await self._drop_old_days(at)
        return self._indexed - before

    def _note_newest(self, newest: int) -> None:
        now = clock.ticks()
        if not self._seen or now - self._seen[-1][0] >= SETTLE_US // 2:
            self._seen.append((now, newest))

    def _settled(self) -> int:
        """The highest id that was there a second ago."""
        now = clock.ticks()
        return max((newest for tick, newest in self._seen if now - tick >= SETTLE_US), default=0)

    async def _index_new(self, after: int, settled: int, oldest_day: int) -> None:
        await self.store.write(partial(word_index.claim, to=settled))
        entries, last = await word_index.list_new(self.store, after, settled, CHUNK, oldest_day)
        await self._add(entries, ("to", last))

    async def _index_changed(self, oldest_day: int) -> int:
        began = clock.ticks()
        entries = await word_index.list_changed(self.store, CHUNK, oldest_day)
        await self._add(entries, None)
        if len(entries) < CHUNK:
            self._drained = began
        return len(entries)

    async def _index_old(self, before: int, oldest_day: int) -> None:
        entries, last = await word_index.list_old(self.store, before, CHUNK, oldest_day)
        await self._add(entries, ("from", last))

    async def _add(self, entries: list[Entry], position: tuple[str, int] | None) -> None:
        while entries or position is not None:
            done = await self.store.write(partial(_add, entries=entries, position=position))
            self._indexed += done
            self._unmerged.update(entry.day for entry in entries[:done] if entry.words)
            if done == len(entries):
                return
            entries = entries[done:]

    async def _merge(self) -> None:
        for day in sorted(self._unmerged):
            for _ in range(MERGES):
                if await self.store.write(partial(_merge, day=day)):
                    self._unmerged.discard(day)
                    break

    async def _drop_old_days(self, at: int) -> None:
        for day in await word_index.old_days(self.store):
            await self._drop(day)
        if self._thin_at is None or at - self._thin_at >= THIN_US or at < self._thin_at:
            self._thin_at = at
            for day, left in await word_index.thin_days(self.store):
                for start in range(0, len(left), CHUNK):
                    await self.store.write(partial(word_index.index_again, tasks=left[start : start + CHUNK]))
                await self._drop(day)

    async def _drop(self, day: int) -> None:
        while not await self.store.write(partial(word_index.drop, day=day, seconds=SLICE_S)):
            await self._merge()

    async def _note(self) -> None:
        now, places = clock.ticks(), await word_index.positions(self.store)
        while len(self._seen) > 1 and self._seen[1][1] <= places.to:
            self._seen.popleft()
        # The oldest moment whose tasks are not all indexed is the second one noted: those of the first are.
        late = next((tick for tick, newest in self._seen if newest > places.to), now)
        lag_us = now - late
        if places.changes:
            lag_us = max(lag_us, now - self._drained)
        self._recent.append((now, self._indexed))
        while now - self._recent[0][0] > RATE_US:
            self._recent.popleft()
        since, count = self._recent[0]
        rate = (self._indexed - count) / max((now - since) / 1_000_000, 1.0)
        self.report = IndexReport(
            lag_us, max(places.newest - places.to, 0) + places.changes, max(places.back - 1, 0), self._indexed, round(rate, 1)
        )


def _add(db: Connection, entries: list[Entry], position: tuple[str, int] | None) -> int:
    return word_index.add(db, entries, SLICE_S, position)


def _merge(db: Connection, day: int) -> bool:
    return word_index.merge(db, day, SLICE_S)
