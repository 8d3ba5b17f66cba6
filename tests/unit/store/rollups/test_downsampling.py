# SPDX-License-Identifier: AGPL-3.0-or-later
"""Minutes become a part of their hour and day once, whatever comes late, and readers never notice where the boundary is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.contents import connect, recount_rollups
from tests.support.database import SECOND, T, database, life, origin, tell
from z4j.rules.rollups import DAY, DAY_US, HOUR, HOUR_US, MINUTE, MINUTE_US
from z4j.store.rollups import downsampling, rollups
from z4j.store.rollups.rollups import Range
from z4j.store.sqlite.db import Store

pytestmark = pytest.mark.anyio
START = T // HOUR_US * HOUR_US


async def read(store: Store) -> list[object]:
    """Everything that readers return of a week, by hour and by day."""
    ids = [row.id for row in await rollups.list_series(store)]
    found: list[object] = []
    for step in (HOUR, DAY):
        within = Range(step, START - 3 * DAY_US + 7, START + 3 * DAY_US + 7)
        found += [
            await rollups.by_time(store, ids, within), await rollups.by_series(store, ids, within),
            await rollups.histograms_by_time(store, ids, within), await rollups.histograms_by_series(store, ids, within),
            workers := await rollups.by_worker(store, 1, within), await rollups.of_worker(store, 1, next(iter(workers)), within),
        ]  # fmt: skip
    return found


async def test_readers_do_not_notice_where_the_boundary_is(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        for number in range(40):
            await tell(store, origin(), *life(f"t{number}", START + number * 173 * SECOND, "failed" if number % 5 == 0 else "succeeded"))
        before = await read(store)
        for minutes in (1, 30, 75, 200):
            await downsampling.roll(store, START + minutes * MINUTE_US + downsampling.AFTER_US)
            assert await read(store) == before
        assert await downsampling.roll(store, START + DAY_US) == 0
        assert await store.fetch_all("SELECT count(*) FROM rollup WHERE step = 2") != [(0,)]


async def test_what_comes_late_is_added_to_all_three_and_taken_out_of_all_three(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        first, second = life("one", START), life("two", START)
        await tell(store, origin(), *first[:3], *second)
        assert await downsampling.roll(store, START + downsampling.AFTER_US) == 0, "it has not ended long enough ago"
        assert await downsampling.roll(store, START + MINUTE_US + downsampling.AFTER_US) == 1
        await tell(store, first[3], *life("three", START + 2 * SECOND), *life("two", START, "failed"))
        db = connect(store.path)
        kept, counted = recount_rollups(db)
        db.close()
        assert kept == counted
        for step in (MINUTE, HOUR, DAY):
            ids = [row.id for row in await rollups.list_series(store, is_total=True)]
            [sums] = (await rollups.by_time(store, ids, Range(step, START - DAY_US, START + DAY_US))).values()
            assert (sums.enqueued, sums.ended) == (3, 3)


async def test_a_server_that_was_stopped_for_long_catches_up(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), *life("a", START - 2 * DAY_US), *life("b", START))
        assert await downsampling.roll(store, START + HOUR_US) == 2
        assert await downsampling.rolled_until(store) == START + HOUR_US - downsampling.AFTER_US
        assert await downsampling.roll(store, START + HOUR_US) == 0
