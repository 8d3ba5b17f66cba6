# SPDX-License-Identifier: AGPL-3.0-or-later
"""What tasks and queues add to the sums per minute, hour and day in a real database. That the sums are those of the tasks, whatever the
order of events, is a law (tests/contract/test_fold_laws.py, test_life_laws.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.contents import connect, recount_rollups
from tests.support.database import SECOND, T, database, life, origin, task, tell
from z4j.rules.rollups import DAY, DAY_US, HOUR, MINUTE, MINUTE_US
from z4j.store.fleet import queues
from z4j.store.rollups import downsampling, rollup_deletion, rollup_writer, rollups
from z4j.store.rollups.rollups import Range, Sums
from z4j.store.sqlite.db import Store

pytestmark = pytest.mark.anyio
START = T // MINUTE_US * MINUTE_US
"""The beginning of a minute."""


def week(step: int) -> Range:
    return Range(step, START - 3 * DAY_US, START + 3 * DAY_US)


async def whole(store: Store, step: int = DAY) -> Sums:
    ids = [row.id for row in await rollups.list_series(store, is_total=True)]
    return Sums(*map(sum, zip(*(await rollups.by_time(store, ids, week(step))).values(), strict=True)))


async def test_a_life_is_counted_at_its_three_moments(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), *life("one", START + 58 * SECOND))
        series = await rollups.list_series(store)
        assert len({row.release_id for row in series}) == 2  # the enqueue has none
        ids = [row.id for row in series]
        assert await rollups.by_time(store, ids, week(MINUTE)) == {
            START: Sums(enqueued=1),
            START + MINUTE_US: Sums(started=1, waited=1, waited_us=2 * SECOND, ran=1, ran_us=900_000, succeeded=1),
        }
        for step in (MINUTE, HOUR, DAY):
            assert await whole(store, step) == Sums(
                enqueued=1, started=1, waited=1, waited_us=2 * SECOND, ran=1, ran_us=900_000, succeeded=1
            )
        [histograms] = (await rollups.histograms_by_time(store, ids, week(DAY))).values()
        assert (sum(histograms.ran.values()), sum(histograms.waited.values())) == (1, 1)
        assert (await rollups.by_series(store, ids, week(HOUR))).keys() == set(ids)
        [(worker, sums)] = (await rollups.by_worker(store, 1, week(DAY))).items()
        assert sums == (1, 0, 900_000)
        assert list((await rollups.of_worker(store, 1, worker, week(DAY))).values()) == [sums]


async def test_names_queues_and_releases_are_separate(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), origin("next", release="2.0"), *life("one", START), *life("two", START, "failed", name="shop.mail"))
        await tell(store, *life("three", START, queue="slow", run="next.7"))
        series = await rollups.list_series(store)
        assert len({(row.name_id, row.queue_id) for row in series}) == 3
        started = await rollups.by_series(store, [row.id for row in series if row.release_id], week(DAY))
        assert sorted((row.succeeded, row.failed) for row in started.values()) == [(0, 1), (1, 0), (1, 0)]
        mail = await rollups.list_series(store, name_id=next(row.name_id for row in series if started.get(row.id, Sums()).failed))
        assert {row.queue_id for row in mail} == {series[0].queue_id}


async def test_a_release_that_is_told_late_does_not_divide_what_was_counted(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, *life("one", START)[:3])
        await tell(store, origin(), life("one", START)[3])
        db = connect(store.path)
        kept, counted = recount_rollups(db)
        db.close()
        assert kept == counted
        assert {row.release_id for row in await rollups.list_series(store)} == {0}


async def test_beyond_its_limit_an_app_has_one_series_for_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollup_writer, "SERIES_LIMIT", 4)
    async with database(tmp_path) as store:
        await tell(store, *(record for n in range(9) for record in life(f"t{n}", START + n, name=f"name-{n}")))
        await tell(store, *life("again", START, name="name-8"))
        series = await rollups.list_series(store)
        assert len(series) == 4
        assert await whole(store) == Sums(enqueued=10, started=10, waited=10, waited_us=20 * SECOND, ran=10, ran_us=9_000_000, succeeded=10)
        by_series = await rollups.by_series(store, [row.id for row in series], week(DAY))
        assert max(row.enqueued for row in by_series.values()) == 7


async def test_late_news_never_create_a_deleted_step_again(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), *life("one", START)[:1])
        assert await downsampling.roll(store, START + MINUTE_US + downsampling.AFTER_US) == 1
        is_end, rows = await store.write(lambda db: rollup_deletion.delete_old(db, MINUTE, START + MINUTE_US, 1))
        assert (is_end, rows) == (True, 2)
        await tell(store, *life("one", START)[1:], *life("two", START - MINUTE_US), *life("three", START + MINUTE_US))
        assert await rollups.first_at(store, MINUTE, 0) == START + MINUTE_US
        assert (await whole(store, MINUTE)).ended == 1
        assert (await whole(store, HOUR)).ended == 3
        assert await store.write(lambda db: rollup_deletion.delete_of_app(db, 1, MINUTE, START + MINUTE_US, 1)) == (True, 8)
        await tell(store, *life("four", START + MINUTE_US), *life("five", START + 2 * MINUTE_US))
        assert await rollups.first_at(store, MINUTE, 0) == START + 2 * MINUTE_US


async def test_a_retry_is_counted_where_it_starts(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(
            store, origin(), task("enqueued", "one", START), task("started", "one", START + SECOND),
            task("retried", "one", START + 2 * SECOND, START + SECOND, 5, START + 70 * SECOND, "again", "E", "bad", ""),
            task("started", "one", START + 71 * SECOND, attempt=1),
        )  # fmt: skip
        ids = [row.id for row in await rollups.list_series(store)]
        by_time = await rollups.by_time(store, ids, week(MINUTE))
        assert by_time == {START: Sums(enqueued=1), START + MINUTE_US: Sums(started=1, retried=1, waited=1, waited_us=SECOND)}


async def test_what_brokers_report_of_a_queue(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        for seconds, depth in ((0, 4), (5, 10), (70, 2)):
            at = START + seconds * SECOND
            seen = [("celery", "work", "redis", depth, 1, at - 3 * SECOND, 0, None), ("celery", "other", "redis", None, 1, None, 0, 0)]
            await store.write(lambda db, seen=seen, at=at: queues.record(db, 1, 0, seen, at))  # type: ignore[misc]
        [(engine, queue)] = set(await store.fetch_all("SELECT engine_id, queue_id FROM queue_rollup"))
        by_minute = await rollups.of_queue(store, 1, 0, engine, queue, week(MINUTE))
        assert {at: tuple(report) for at, report in by_minute.items()} == {
            START: (10, 7.0, 10, 3 * SECOND, 0, None), START + MINUTE_US: (2, 2.0, 2, 3 * SECOND, 0, None),
        }  # fmt: skip
        [of_slot] = (await rollups.of_queue(store, 1, 0, engine, queue, week(MINUTE), slot_us=60 * MINUTE_US)).values()
        assert tuple(of_slot) == (2, 2.0, 2, 3 * SECOND, 0, None), "the last minute"
        at = START + 80 * SECOND
        more = [("celery", "work", "valkey", 7, 1, at - 90 * SECOND, None, 1)]
        await store.write(lambda db: queues.record(db, 1, 0, more, at))
        [of_slot] = (await rollups.of_queue(store, 1, 0, engine, queue, week(MINUTE), slot_us=60 * MINUTE_US)).values()
        assert tuple(of_slot) == (9, 9.0, 9, 90 * SECOND, 0, 1), "of both brokers"
        [of_day] = (await rollups.of_queue(store, 1, 0, engine, queue, week(DAY))).values()
        assert (of_day.depth, of_day.depth_max) == (9, 17)
