# SPDX-License-Identifier: AGPL-3.0-or-later
"""Maintains groups of failures: groups failures that were stored before there were groups, continues splits, ends ignoring at its limit,
deletes what is too old."""

from __future__ import annotations

from functools import partial
from typing import Final

from z4j import clock
from z4j.background.server_events import Changed
from z4j.clock import DAY_US
from z4j.store.errors import error_actions, error_groups, error_retention, error_splits
from z4j.store.errors.error_retention import Unused
from z4j.store.sqlite.db import Store

EVERY_S: Final = 5
ROUND_US: Final = 2_000_000
"""The tasks stored before are grouped for this long in one round, and those of a split counted again."""
HOURS_KEPT_US: Final = 100 * DAY_US
UNUSED_US: Final = 7 * DAY_US
"""A group of which no task is stored is kept this long after it was seen last."""
CLEAN_US: Final = 3_600_000_000
HOLD_S: Final = 0.002


class ErrorGroups:
    """One per server. `changed` is called with the topics of `live` that changed. `days`: how long an annotated group is kept
    about, was given, ignores, merged or split."""

    def __init__(self, store: Store, changed: Changed, days: int) -> None:
        self.store, self.changed = store, changed
        self._kept_us = days * DAY_US
        self._cleaned_at = 0

    async def round(self, at: int) -> int:
        """Executes due work. Returns how many groups were changed or tasks were read."""
        done = await self._group_backlog() + await self._continue_splits()
        if ended := await error_actions.list_ended(self.store, at):
            await self.store.write(partial(error_actions.end_ignoring, ids=ended, at=at))
            done += len(ended)
        if not 0 <= at - self._cleaned_at < CLEAN_US:
            self._cleaned_at = at
            done += await self.clean(at)
        if done:
            self.changed(("errors",))
        return done

    async def clean(self, at: int) -> int:
        """Deletes hours and groups that are too old. Returns how many groups."""
        is_end = False
        while not is_end:
            is_end, _ = await self.store.write(partial(error_retention.delete_hours, before=at - HOURS_KEPT_US, seconds=HOLD_S))
        which, deleted = Unused(at - UNUSED_US, at - max(self._kept_us, UNUSED_US)), 0
        for id in await error_retention.list_unused(self.store, which):
            deleted += await self.store.write(partial(error_retention.delete_groups, ids=[id], which=which))
        return deleted

    async def _continue_splits(self) -> int:
        steps, ends = 0, clock.ticks() + ROUND_US
        for id in await error_splits.list_unfinished(self.store):
            is_done = False
            while not is_done and clock.ticks() < ends:
                is_done = await self.store.write(partial(error_splits.continue_split, id=id))
                steps += 1
        return steps

    async def _group_backlog(self) -> int:
        done, ends = 0, clock.ticks() + ROUND_US
        while clock.ticks() < ends and (place := await error_groups.read_backlog(self.store)) is not None:
            rows = await error_actions.list_backlog(self.store, place)
            await self.store.write(partial(error_actions.group_backlog, rows=rows))
            done += len(rows)
        return done
