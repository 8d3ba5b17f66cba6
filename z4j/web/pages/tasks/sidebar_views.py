# SPDX-License-Identifier: AGPL-3.0-or-later
"""The saved views in the rail of every page: cached names and counts. The counts are refreshed in the background, and no page waits for
them. A view without matching counters has no count."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import parse_qs

from z4j import clock
from z4j.duty_loop import WHENEVER_S, Duties
from z4j.exceptions import BadInput
from z4j.store.search import saved_views
from z4j.store.search.saved_views import TaskView
from z4j.store.sqlite.db import Store
from z4j.store.tasks.counters import count_matching
from z4j.web.pages.tasks.filters import Filters, from_query

SHOWN: Final = 8
KEPT_US: Final = 15_000_000
MOST_PEOPLE: Final = 1_000
"""Maximum users whose views are cached."""


@dataclass(frozen=True, slots=True)
class RailView:
    """A view in the rail. `count` is None if unknown;  `owner` is "" for a view of one's own."""

    name: str
    href: str
    owner: str
    count: int | None = None


@dataclass(slots=True)
class _Known:
    """The cached views of a user, valid until a tick."""

    views: tuple[RailView, ...]
    until: int


def filters_of_view(view: TaskView) -> Filters | None:
    """Returns the filters of a view; None if it was saved by a release with other fields."""
    query = {name: values[-1] for name, values in parse_qs(view.query).items()}
    try:
        return from_query(query, [query.get("state", "")])
    except BadInput:
        return None


async def count_of(store: Store, filters: Filters | None) -> int | None:
    """Returns the number of tasks of a view; None without matching counters."""
    if filters is None:
        return None
    try:
        return await count_matching(store, filters.for_store(clock.now()))
    except BadInput:  # too many names match a prefix, or the time is not valid
        return None


class SidebarViews:
    """One per server."""

    def __init__(self, store: Store, duties: Duties) -> None:
        self.store = store
        self._duty = duties.add("counts of views", WHENEVER_S)
        self._known: dict[int, _Known] = {}
        self._reading: set[asyncio.Task[bool]] = set()

    async def views_of(self, user_id: int) -> tuple[RailView, ...]:
        """Returns a user's own views, then shared ones, at most SHOWN. Their counts are some seconds old, and None at first."""
        if not user_id:
            return ()
        known = self._known.get(user_id)
        if known is None:
            if len(self._known) >= MOST_PEOPLE:
                self._known.clear()
            known = self._known[user_id] = _Known(await self._read(user_id, is_counted=False), 0)
        if known.views and clock.ticks() >= known.until:
            known.until = clock.ticks() + KEPT_US
            self.store.in_event_loop(partial(self._count_later, user_id, known))
        return known.views

    def _count_later(self, user_id: int, known: _Known) -> None:
        task = asyncio.create_task(self._duty.attempt(partial(self._count, user_id, known)))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    def changed(self) -> None:
        """Discards the cache after views were saved, changed or deleted."""
        self._known.clear()

    async def _count(self, user_id: int, known: _Known) -> None:
        known.views = await self._read(user_id, is_counted=True)

    async def _read(self, user_id: int, *, is_counted: bool) -> tuple[RailView, ...]:
        views = []
        for view in (await saved_views.list_views(self.store, user_id))[:SHOWN]:
            filters = filters_of_view(view)
            if filters is None:
                continue
            owner = "" if view.user_id == user_id else view.owner
            views.append(RailView(view.name, filters.href(), owner, await count_of(self.store, filters) if is_counted else None))
        return tuple(views)
