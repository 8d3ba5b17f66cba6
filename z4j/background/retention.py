# SPDX-License-Identifier: AGPL-3.0-or-later
"""Holds the limits of retention: deletes as fast as tasks arrive, in slices that hold the writer for at most `HOLD_S`.

By age, the oldest go first. By size, what has grown goes first: of all apps and kinds of data the largest part is cut down, so that one
app never costs another its tasks, and tasks are left alone where they are not what is large.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from z4j import clock
from z4j.clock import DAY_US
from z4j.rules.rollups import HOUR_US, KEPT_US, MINUTE, STEP_US
from z4j.store.errors import error_retention
from z4j.store.errors.error_retention import Unused
from z4j.store.findings import findings
from z4j.store.fleet import apps
from z4j.store.logs import log_deletion
from z4j.store.names import unused_names
from z4j.store.operations import plans
from z4j.store.rollups import downsampling, queue_ledger, rollup_deletion, rollups
from z4j.store.schedules import fires, schedules
from z4j.store.sqlite.db import Connection, Store
from z4j.store.tasks import bulk_deletion, disk_usage, reused_ids
from z4j.store.tasks.bulk_deletion import NO_CUTOFF, DeletionFilter, Retention, WalkPosition
from z4j.store.tasks.disk_usage import Part

HOLD_S: Final = 0.020
"""Longest time that one slice may hold the writer, commit included."""
LARGEST_SLICE_S: Final = 0.0015
"""An ack of any app waits for the end of a slice. Longer ones delete more where nothing arrives (9,060 a second with 12 ms, 5,956 with
this), and less where much does, for then the writer is held eight times as long as was asked for."""
SMALLEST_SLICE_S: Final = 0.001
LISTED: Final = 2_000
ROUND_US: Final = 20_000_000
"""A round ends after this time, so that the duty reports progress; the next one continues."""
DETAILS_US: Final = 60_000_000
WEIGH_US: Final = 60_000_000
LOOK_AGAIN_US: Final = 600_000_000
"""How often the walk begins at the oldest task again: one that could not be deleted may have ended."""
BEHIND_US: Final = 120_000_000
"""A limit that was exceeded for this long is reported as not held."""
LEAST_CUT: Final = 500
"""At least this part of an app's tasks goes at once: pages become free only when everything on them is gone."""
FREE_PAGES: Final = 1_000
ENOUGH: Final = 0.995
"""Once above the limit it is cut down to this share of it, so that there is not a little to do all the time."""
EMPTIED: Final = 500
"""Counters that became empty, and rows of statistics deleted, before unused names are searched."""
ERROR_DAYS: Final = (30, 7, 2)
"""Hours of errors that are kept where errors are what is large, one after the other."""
LISTED_FRESH_US: Final = 3_600_000_000
LOG_SHARE: Final = 10
"""Log lines of one app may take this part of the size limit; beyond it its oldest go."""


@dataclass(frozen=True, slots=True)
class Report:
    """What retention found and did, for people. Times are microseconds UTC. `why_not_held` is empty while both limits are held."""

    at: int = 0
    used_bytes: int = 0
    max_bytes: int = 0
    days: int = 0
    oldest_at: int | None = None
    deleted: int = 0
    """Tasks since the server started."""
    deleted_per_s: float = 0.0
    """Over the last minute."""
    why_not_held: str = ""


class RetentionDuty:
    """One per server. `changed` is called with the topics of `live`."""

    def __init__(self, store: Store, changed: Callable[[Iterable[str]], None], keep: Retention) -> None:
        self.store = store
        self.changed = changed
        self.keep = keep
        self.report = Report(max_bytes=keep.max_bytes, days=keep.days)
        self.parts: list[Part] = []
        """What takes the space, the largest first, as it was last weighed."""
        self._slice_s = LARGEST_SLICE_S / 2
        self.held_s = 0.0
        """How long the last slice held the writer: its own time, and the commit it shared with others."""
        self._place, self._walk_began = WalkPosition(), 0
        self._size_place: dict[tuple[int, int], WalkPosition] = {}
        self._swept: WalkPosition | None = None
        self._details_at = self._measured_at = self._names_at = 0
        self._over_since: int | None = None
        self._obstacle = ""
        self._recent: deque[tuple[int, int]] = deque()
        self._deleted = self._emptied = self._last_cut = 0

    async def round(self, at: int) -> int:
        """Works until both limits are held, or for `ROUND_US`. Returns how many tasks were deleted."""
        ends, before = clock.ticks() + ROUND_US, self._deleted
        self._obstacle = ""
        is_held = await self._by_age(at, ends)
        is_held = await self._by_size(at, ends) and is_held
        if at - self._details_at >= DETAILS_US or at < self._details_at:
            self._details_at = at
            await self._details(at)
        deleted = self._deleted - before
        if not deleted:
            await self._slices(partial(bulk_deletion.return_pages, keep=FREE_PAGES))
        await self._note(at, is_held)
        if deleted:
            self.changed(("tasks", "queues", "strip"))
        return deleted

    async def sweep_names(self, at: int) -> int:
        """Deletes names and processes that nothing refers to. Returns how many were listed."""
        await self._through(await rollup_deletion.list_unused_series(self.store), rollup_deletion.delete_series)
        if not await unused_names.is_worth_it(self.store):
            return 0
        self._names_at = at
        names = await unused_names.list_unused_names(self.store)
        await self._through(names, unused_names.delete_names)
        boots = await unused_names.list_unused_boots(self.store, at - self.keep.days * DAY_US)
        await self._through(boots, unused_names.delete_boots)
        return len(names) + len(boots)

    # -- tasks ---------------------------------------------------------------------------------------------------------
    async def _by_age(self, at: int, ends: int) -> bool:
        before = at - self.keep.days * DAY_US
        which = DeletionFilter(before, before)
        if at - self._walk_began >= LOOK_AGAIN_US or at < self._walk_began:
            self._place, self._walk_began = WalkPosition(), at
        is_end = False
        while not is_end:
            ids, place, is_end = await bulk_deletion.list_deletable(self.store, which, self._place, LISTED)
            await self._delete(ids, which)
            self._place = place
            if clock.ticks() > ends:
                return is_end
        return True

    async def _by_size(self, at: int, ends: int) -> bool:
        used, _ = await bulk_deletion.read_size(self.store)
        self._size_place.clear()
        if used <= self.keep.max_bytes:
            return True
        enough = int(self.keep.max_bytes * ENOUGH)
        while used > enough:
            if clock.ticks() > ends or not await self._cut(at, used - enough, used):
                return used <= self.keep.max_bytes
            used, _ = await bulk_deletion.read_size(self.store)
        return True

    async def _cut(self, at: int, over: int, used: int) -> bool:
        """Takes something from the largest part of the app that uses most. Returns whether anything was deleted; if not, `_obstacle` says
        why. An app that uses less than half of its equal share is never cut: then something else is large."""
        if await self._free(at, is_forced=not 0 <= at - self._names_at < LOOK_AGAIN_US):
            return True
        is_fresh = not self.parts or clock.ticks() - self._measured_at > WEIGH_US
        if is_fresh:
            await self._weigh(used)
        largest, size, second = self._largest()
        if not self._is_large(size) and not is_fresh:  # what came since it was weighed counts for nothing yet
            await self._weigh(used)
            largest, size, second = self._largest()
        if not self._is_large(size):
            self._obstacle = "tasks, statistics and errors are small: the audit log, plans and other records use the space"
            return False
        share, parts = max(size - second, size // 50, 1), [part for part in self.parts if part.app_id == largest]
        if largest != self._last_cut and await self._free(at, is_forced=self._emptied > 0):
            return True
        self._last_cut = largest
        for part in parts:  # the largest first
            freed = await self._cut_part(part, at, min(over, share))
            self._subtract(part, freed)
            if freed or await self._free(at, is_forced=self._emptied > 0):
                return True
        names = await apps.names_by_id(self.store)
        self._obstacle = f"{names.get(largest, 'an app')} uses the most space, and none of its data can be deleted now"
        return False

    async def _weigh(self, used: int) -> None:
        self.parts, self._measured_at = await disk_usage.measure(self.store, used), clock.ticks()

    def _largest(self) -> tuple[int, int, int]:
        """(id, bytes) of the app that uses most, and the bytes of the next one. Zeros where there is none."""
        sizes: Counter[int] = Counter()
        for part in self.parts:
            sizes[part.app_id] += part.bytes
        (app_id, size), (_, second) = [*sizes.most_common(2), (0, 0), (0, 0)][:2]
        return app_id, size, second

    def _is_large(self, size: int) -> bool:
        """Whether an app uses at least half of its equal share."""
        apps = len({part.app_id for part in self.parts})
        return size > 0 and size * 2 * apps >= self.keep.max_bytes - disk_usage.EMPTY_BYTES

    async def _cut_part(self, part: Part, at: int, over: int) -> int:
        """Deletes about `over` bytes of one part, or less. Returns about how many."""
        if part.kind == "tasks":
            rows = await self._cut_tasks(part, at, over)
            return rows * part.bytes // max(part.rows, 1)
        rows = 0
        if part.kind == "statistics":
            for step in range(len(STEP_US)):  # the finest first
                step_at = await rollups.first_at(self.store, step, 0)
                while step_at is not None and rows * part.bytes // max(part.rows, 1) <= over:
                    rows += await self._slices(partial(rollup_deletion.delete_of_app, app_id=part.app_id, step=step, at=step_at))
                    step_at = await rollups.first_at(self.store, step, step_at + 1)
        elif part.kind == "logs":
            rows += await self._cut_lines(part.app_id, over)
        elif part.kind == "errors":
            rows += await self._cut_errors(part, at, over)
        else:
            params = {"before": at - LISTED_FRESH_US, "app_id": part.app_id}
            for block in bulk_deletion.LISTED_BY_APPS:
                rows += await self._slices(partial(bulk_deletion.delete_some, block=block, params=params))
        self._emptied += rows
        return rows * part.bytes // max(part.rows, 1)

    async def _cut_lines(self, app_id: int, over: int) -> int:
        """Deletes about `over` bytes of the oldest log lines of an app. Returns how many lines."""
        lines = 0
        while over > 0:
            some, freed = await self._slice(partial(log_deletion.delete_oldest, app_id=app_id, over=over))
            if not some:
                break
            lines, over = lines + some, over - freed
        return lines

    async def _cut_errors(self, part: Part, at: int, over: int) -> int:
        """Old hours first, then groups without tasks without annotations. Returns how many rows."""
        rows = 0
        for days in ERROR_DAYS:
            if rows * part.bytes // max(part.rows, 1) > over:
                return rows
            rows += await self._slices(partial(error_retention.delete_hours, before=at - days * DAY_US, app_id=part.app_id))
        which = Unused(at - DAY_US, at - max(self.keep.errors_days, 1) * DAY_US, part.app_id)
        ids = await error_retention.list_unused(self.store, which)
        return rows + sum([await self.store.write(partial(error_retention.delete_groups, ids=[id], which=which)) for id in ids])

    async def _cut_tasks(self, part: Part, at: int, over: int) -> int:
        """The oldest of one app: those that ended or are quiet for a day, only then those that wait, run, or are scheduled."""
        least_rows = max(over * part.rows // max(part.bytes, 1), part.rows // LEAST_CUT, 1)
        for is_any in (False, True):
            which = DeletionFilter(NO_CUTOFF, at - DAY_US, part.app_id, is_any=is_any)
            key, is_end = (part.app_id, int(is_any)), False
            while not is_end:
                place = self._size_place.get(key, WalkPosition())
                ids, after, is_end = await bulk_deletion.list_deletable(self.store, which, place, LISTED)
                if ids:
                    deleted = await self._delete(ids[:least_rows], which)
                    if len(ids) <= least_rows:
                        self._size_place[key] = after
                    if deleted:
                        return deleted
                else:
                    self._size_place[key] = after
        return 0

    def _subtract(self, part: Part, freed: int) -> None:
        rows = part.rows - freed * part.rows // max(part.bytes, 1)
        self.parts = [
            replace(other, bytes=max(other.bytes - freed, 0), rows=max(rows, 0)) if other is part else other for other in self.parts
        ]

    async def _free(self, at: int, *, is_forced: bool) -> bool:
        """Deletes counters of nothing, and unused names where there may be many. Returns whether that freed pages."""
        before, _ = await bulk_deletion.read_size(self.store)
        await self._empty_counters()
        if is_forced or self._emptied >= EMPTIED:
            self._names_at, self._emptied, self.parts = at, 0, []
            await self.sweep_names(at)
        return (await bulk_deletion.read_size(self.store))[0] < before

    async def _delete(self, ids: list[int], which: DeletionFilter) -> int:
        total = 0
        while ids:
            done, deleted = await self._slice(partial(bulk_deletion.delete_listed, ids=ids, which=which))
            ids = ids[done:]
            total += deleted
        self._deleted += total
        if total:
            self._recent.append((clock.ticks(), total))
        return total

    # -- everything else ---------------------------------------------------------------------------------------------------
    async def _details(self, at: int) -> None:
        """What no task refers to: old statistics, gaps, faults, processes that left, plans, fires, originals of succeeded tasks."""
        before = at - self.keep.days * DAY_US
        for block in bulk_deletion.DETAILS:
            params = {"before": before, "app_id": -1}
            await self._slices(partial(bulk_deletion.delete_some, block=block, params=params))
        await self._slices(partial(log_deletion.delete_old, before=before))
        for used in await log_deletion.list_usage(self.store):
            if (over := used.bytes - self.keep.max_bytes // LOG_SHARE) > 0:
                await self._cut_lines(used.app_id, over)
        await self._delete_rollups(at)
        while await self.store.write(partial(queue_ledger.delete_old, before=(at - queue_ledger.KEPT_US) // HOUR_US * HOUR_US)):
            pass
        while ids := await reused_ids.list_old(self.store, at - 2 * DAY_US, bulk_deletion.SOME):
            await self.store.write(partial(reused_ids.settle, ids=ids))
        await self._empty_counters()
        await self._sweep_originals(at - self.keep.originals_days * DAY_US)
        for id in await plans.list_forgotten(self.store, before):
            await self._slices(partial(plans.forget_plan, id=id))
        while await self.store.write(lambda db: fires.delete_old(db, before)):
            pass
        while await self.store.write(lambda db: findings.delete_old(db, before)):
            pass
        await self.store.write(lambda db: schedules.delete_old_schedulers(db, at - DAY_US))

    async def _delete_rollups(self, at: int) -> None:
        for step, kept_us in enumerate(KEPT_US):
            first = None if kept_us is None else await rollups.first_at(self.store, step, 0)
            if kept_us is not None and first is not None and first + STEP_US[step] <= at - kept_us:
                before = (at - kept_us) // STEP_US[step] * STEP_US[step]
                if step == MINUTE:  # what is not a part of its hour and day yet stays until it is
                    before = min(before, await downsampling.rolled_until(self.store))
                self._emptied += await self._slices(partial(rollup_deletion.delete_old, step=step, before=before))

    async def _empty_counters(self) -> None:
        while keys := await bulk_deletion.list_empty_counters(self.store, bulk_deletion.SOME):
            self._emptied += len(keys)
            await self.store.write(partial(bulk_deletion.delete_empty_counters, keys=keys))

    async def _sweep_originals(self, before: int) -> None:
        is_end = False
        while not is_end:
            ids, place, is_end = await bulk_deletion.list_swept(self.store, before, self._swept, LISTED)
            await self._through(ids, bulk_deletion.delete_originals)
            if ids:
                await self.store.write(partial(bulk_deletion.note_swept, place=place))
            self._swept = place

    async def _note(self, at: int, is_held: bool) -> None:
        used, _ = await bulk_deletion.read_size(self.store)
        self._over_since = None if is_held else min(self._over_since or at, at)
        now = clock.ticks()
        while self._recent and now - self._recent[0][0] > 60_000_000:
            self._recent.popleft()
        rate = sum(count for _, count in self._recent) / 60
        why = ""
        if self._over_since is not None and (self._obstacle or at - self._over_since >= BEHIND_US):
            why = self._obstacle or f"tasks arrive faster than they can be deleted ({rate:,.0f} a second)"
        oldest = await bulk_deletion.oldest_task(self.store)
        self.report = Report(at, used, self.keep.max_bytes, self.keep.days, oldest, self._deleted, rate, why)

    # -- slices --------------------------------------------------------------------------------------------------------------
    async def _slice(self, work: Callable[..., Any]) -> Any:
        """One slice; the next is longer or shorter by how long this one held the writer."""
        seconds, spent = self._slice_s, 0.0

        def timed(db: Connection) -> Any:
            nonlocal spent
            began = time.monotonic()
            done = work(db, seconds=seconds)
            spent = time.monotonic() - began
            return done

        done = await self.store.write(timed)
        self.held_s = spent + self.store.commit_s
        if self.held_s > HOLD_S * 0.8:
            self._slice_s = max(SMALLEST_SLICE_S, self._slice_s * 0.7)
        elif self.held_s < HOLD_S / 2:
            self._slice_s = min(LARGEST_SLICE_S, self._slice_s * 1.1)
        # Others first: a slice that follows at once would have the writer in every second group.
        await asyncio.sleep(0)
        return done

    async def _slices(self, work: Callable[..., tuple[bool, int]]) -> int:
        """Until nothing is left. Returns how many rows."""
        is_end, rows = False, 0
        while not is_end:
            is_end, some = await self._slice(work)
            rows += some
        return rows

    async def _through(self, ids: list[int], work: Callable[..., Any]) -> None:
        while ids:
            ids = ids[await self._slice(partial(work, ids=ids)) :]
