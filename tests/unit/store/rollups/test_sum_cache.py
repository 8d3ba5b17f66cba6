# SPDX-License-Identifier: AGPL-3.0-or-later
"""Sums that are kept: always the same as those that are read, whatever the writer changes meanwhile."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import T, database, life, origin, tell
from z4j.rules.rollups import DAY, DAY_US, HOUR, HOUR_US, MINUTE, MINUTE_US
from z4j.store.rollups import downsampling, rollup_deletion, rollups, sum_cache
from z4j.store.rollups.rollups import Range
from z4j.store.rollups.sum_cache import SumCache
from z4j.store.sqlite import migrate, sql
from z4j.store.sqlite.db import Connection, Store

pytestmark = pytest.mark.anyio
RANGES = (
    (Range(MINUTE, T // HOUR_US * HOUR_US - HOUR_US, T // HOUR_US * HOUR_US + 2 * HOUR_US), 20 * MINUTE_US),
    (Range(HOUR, T - 40 * HOUR_US, T + 2 * HOUR_US), 2 * HOUR_US), (Range(DAY, T - 30 * DAY_US, T + HOUR_US), DAY_US),
)  # fmt: skip


async def read(store: Store) -> list[Any]:
    """Every kind of sum, over every step."""
    ids = [row.id for row in await rollups.list_series(store)]
    found: list[Any] = []
    for within, slot_us in RANGES:
        found.append(await rollups.by_time(store, ids, within, slot_us))
        found.append(await rollups.by_series(store, ids, within))
        found.append(await rollups.histograms_by_time(store, ids, within, slot_us))
        found.append(await rollups.histograms_by_series(store, ids, within, "ran"))
    return found


async def read_anew(store: Store) -> list[Any]:
    """The same without anything that was kept."""
    known, store.sum_cache = store.sum_cache, SumCache()
    try:
        return await read(store)
    finally:
        store.sum_cache = known


def count_reads(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that read sums from now on."""
    seen: list[str] = []
    fetch = store.fetch_all

    async def watch(text: str, params: Any = None) -> Any:
        if "rollup" in text and "json_each(:times)" in text:
            seen.append(text)
        return await fetch(text, params)

    monkeypatch.setattr(store, "fetch_all", watch)
    return seen


async def fill(store: Store) -> None:
    await tell(store, origin(), *[record for n in range(6) for record in life(f"a{n}", T + n * 7 * MINUTE_US)])
    await tell(store, *[record for n in range(4) for record in life(f"b{n}", T - n * 9 * HOUR_US, "failed", queue="slow")])


async def test_what_is_over_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with database(tmp_path) as store:
        await fill(store)
        ids, (within, slot_us) = [row.id for row in await rollups.list_series(store)], RANGES[0]
        first = await rollups.histograms_by_time(store, ids, within, slot_us)
        seen = count_reads(store, monkeypatch)
        assert await rollups.histograms_by_time(store, ids, within, slot_us) == first
        assert seen == []


async def roll_and_tell(store: Store) -> None:
    await downsampling.roll(store, T + 2 * HOUR_US)
    await read(store)
    await tell(store, *life("later", T - 18 * HOUR_US))


async def roll_and_delete(store: Store) -> None:
    await downsampling.roll(store, T + 2 * HOUR_US)
    await read(store)
    await store.write(lambda db: rollup_deletion.delete_old(db, HOUR, T, 60))


CHANGES: dict[str, Callable[[Store], Any]] = {
    "new tasks": lambda store: tell(store, *life("new", T + 3 * MINUTE_US)),
    "late tasks": lambda store: tell(store, *life("late", T - 20 * HOUR_US, "failed")),
    "minutes added to hours and days": lambda store: downsampling.roll(store, T + 2 * HOUR_US),
    "late tasks of minutes that were added": roll_and_tell,
    "old minutes deleted": lambda store: store.write(lambda db: rollup_deletion.delete_old(db, MINUTE, T - HOUR_US, 60)),
    "old hours deleted": roll_and_delete,
    "an app deleted": lambda store: store.write(lambda db: rollup_deletion.delete_of_app(db, 1, MINUTE, T // MINUTE_US * MINUTE_US, 60)),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_what_the_writer_changes_is_read_again(tmp_path: Path, name: str) -> None:
    async with database(tmp_path) as store:
        await fill(store)
        before = await read(store)
        assert await read(store) == before
        await CHANGES[name](store)
        assert await read(store) == await read_anew(store)


async def test_something_changes_in_each_case(tmp_path: Path) -> None:
    for number, (name, change) in enumerate(CHANGES.items()):
        async with database(tmp_path / str(number)) as store:
            await fill(store)
            before = await read(store)
            await change(store)
            # Minutes that were added to hours are part of them either way.
            assert (await read_anew(store) != before) is (name != "minutes added to hours and days"), name


async def test_a_page_that_began_before_a_commit_keeps_nothing_that_is_valid_after_it(tmp_path: Path) -> None:
    """The page reads its state of the database first, then another task ends, then the page reads the sums."""
    async with database(tmp_path) as store:
        await fill(store)
        ids, (within, slot_us) = [row.id for row in await rollups.list_series(store)], RANGES[0]

        async def page() -> Any:
            await rollups.list_series(store)
            assert store._loop is not None
            asyncio.run_coroutine_threadsafe(tell(store, *life("meanwhile", T + 3 * MINUTE_US)), store._loop).result(30)
            return await rollups.by_time(store, ids, within, slot_us)

        of_page = await store.at_once(page)
        after = await rollups.by_time(store, ids, within, slot_us)
        assert sum(sums.started for sums in of_page.values()) == 7
        assert sum(sums.started for sums in after.values()) == 8


async def test_a_transaction_that_is_rolled_back_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with database(tmp_path) as store:
        await fill(store)
        before, number = await read(store), store.sum_cache.number

        def fail(db: Connection) -> None:
            rollup_deletion.delete_old(db, MINUTE, T + HOUR_US, 60)
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            await store.write(fail)
        assert await read(store) == before
        assert store.sum_cache.number - number <= 1


def test_the_number_of_rows_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sum_cache, "KEPT", 100)
    cache, rows = SumCache(), [(0, bucket, 1) for bucket in range(9)]
    for number in range(20):
        cache.keep(("histogram", number), cache.number, {0: rows})
    assert cache.find(("histogram", 19), MINUTE, {0: [0]}) == {0: rows}
    assert cache.find(("histogram", 0), MINUTE, {0: [0]}) == {}
    assert cache._values == 28 * sum(map(len, cache._kept.values())) <= 100
    cache.forget_before(("histogram", 19), 1)
    assert cache.find(("histogram", 19), MINUTE, {0: [0]}) == {}
    assert cache._values == 28 * sum(map(len, cache._kept.values()))


def test_with_too_many_changes_nothing_is_kept_and_older_reads_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sum_cache, "CHANGES", 3)
    cache = SumCache()
    stamp = cache.number
    cache.keep("a", stamp, {0: [(0, 1)]})
    cache.stage((MINUTE, minute) for minute in range(1, 6))
    cache.commit()
    assert cache.find("a", MINUTE, {0: [0]}) == {}
    cache.keep("a", stamp, {0: [(0, 1)]})
    assert cache.find("a", MINUTE, {0: [0]}) == {}
    cache.keep("a", cache.number, {0: [(0, 1)]})
    assert cache.find("a", MINUTE, {0: [0]}) == {0: [(0, 1)]}


def test_no_other_statement_writes_sums() -> None:
    """A module that changes them has to report it (`SumCache.stage`)."""
    folder = Path(migrate.__file__).parent
    stems = [str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.sql") if path.parent.name != "migrations"]
    writes = re.compile(r"(?:INSERT INTO|DELETE FROM|UPDATE) (?:rollup|rollup_bucket|series)\b")
    assert {stem for stem in stems if any(writes.search(block) for block in sql.load(stem).values())} == {
        "rollups/rollup_writer", "rollups/downsampling", "rollups/rollup_deletion",
    }  # fmt: skip


async def test_ranges_that_have_moved_on_are_not_kept(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await fill(store)
        await downsampling.roll(store, T + 2 * HOUR_US)
        ids = [row.id for row in await rollups.list_series(store)]
        for hour in range(5 * rollups.RANGES):
            end = T // HOUR_US * HOUR_US - (5 * rollups.RANGES - hour) * HOUR_US
            within = Range(HOUR, end - 70 * HOUR_US, end)
            found = await rollups.by_series(store, ids, within)
            assert await rollups.by_series(store, ids, within) == found
        kept = [len(slots) for key, slots in store.sum_cache._kept.items() if "whole" in key]  # type: ignore[operator]
        assert max(kept) == rollups.RANGES
        rows = [of_slot for slots in store.sum_cache._kept.values() for _, of_slot in slots.values()]
        assert sum(map(sum_cache._values, rows)) == store.sum_cache._values
