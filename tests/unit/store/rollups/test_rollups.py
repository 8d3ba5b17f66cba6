# SPDX-License-Identifier: AGPL-3.0-or-later
"""Sums over a range are those of its minutes, whichever steps they are read from."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.database import database
from z4j.rules.rollups import DAY_US, HOUR, HOUR_US, MINUTE, MINUTE_US, WAITS
from z4j.store.rollups import rollups
from z4j.store.rollups.downsampling import roll_minutes
from z4j.store.rollups.rollups import Range
from z4j.store.sqlite.db import Connection, Store

pytestmark = pytest.mark.anyio
START = 20_000 * DAY_US
SERIES = (1, 2, 3)
Minutes = dict[tuple[int, int], int]
"""(minute, series) → tasks that ended in it."""


def fill(db: Connection, minutes: Minutes, rolled: int) -> None:
    """Minutes as ingest writes them, and hours and days up to a time, as the duty adds them."""
    for (at, series), tasks in minutes.items():
        db.execute(
            "INSERT INTO rollup (step, at, series_id, enqueued, started, retried, waited, waited_us, ran, ran_us, succeeded, failed, "
            "cancelled, expired, rejected, lost) VALUES (0, ?, ?, 0, 0, 0, 0, 0, ?, 0, ?, 0, 0, 0, 0, 0)",
            (at, series, tasks, tasks),
        )
        db.executemany(
            "INSERT INTO rollup_bucket (step, at, series_id, bucket, tasks) VALUES (0, ?, ?, ?, ?)",
            [(at, series, 7, tasks), (at, series, WAITS + 9, 2 * tasks)],
        )
    for at in range(START, rolled, HOUR_US):
        roll_minutes(db, at, min(at + HOUR_US, rolled))


def expected(minutes: Minutes, within: Range) -> dict[int, int]:
    """Recounted; a step that the range touches counts whole."""
    length = HOUR_US if within.step == HOUR else MINUTE_US
    since, until = within.since // length * length, -(-within.until // length) * length
    found: dict[int, int] = {}
    for (at, series), tasks in minutes.items():
        if since <= at < until:
            found[series] = found.get(series, 0) + tasks
    return found


@pytest.mark.parametrize("seed", range(6))
async def test_sums_of_a_range_are_those_of_its_minutes(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    end = START + 3 * DAY_US
    minutes = {(chance.randrange(START, end) // MINUTE_US * MINUTE_US, chance.choice(SERIES)): chance.randrange(1, 9) for _ in range(900)}
    rolled = chance.randrange(START, end) // MINUTE_US * MINUTE_US
    async with database(tmp_path) as store:
        await store.write(lambda db: fill(db, minutes, rolled))
        for _ in range(60):
            step = chance.choice((MINUTE, HOUR))
            since, until = sorted(chance.randrange(START, end) for _ in range(2))
            if step == MINUTE:
                since, until = since // MINUTE_US * MINUTE_US, until // MINUTE_US * MINUTE_US
            await compare(store, minutes, Range(step, since, until))


async def compare(store: Store, minutes: Minutes, within: Range) -> None:
    wanted = expected(minutes, within)
    assert {id: sums.ended for id, sums in (await rollups.by_series(store, SERIES, within)).items()} == wanted, within
    both = await rollups.histograms_by_series(store, SERIES, within)
    assert {id: each.ran for id, each in both.items()} == {id: {7: tasks} for id, tasks in wanted.items()}, within
    assert {id: each.waited for id, each in both.items()} == {id: {9: 2 * tasks} for id, tasks in wanted.items()}, within
    ran = await rollups.histograms_by_series(store, SERIES, within, "ran")
    assert {id: each.waited for id, each in ran.items()} == {id: {} for id in wanted}
    slots = await rollups.by_time(store, SERIES, within, 2 * HOUR_US)
    assert sum(sums.ended for sums in slots.values()) == sum(wanted.values()), within
    assert all(at % (2 * HOUR_US) == 0 for at in slots)


async def test_a_longer_step_that_was_deleted_is_not_read(tmp_path: Path) -> None:
    minutes = {(START + number * MINUTE_US, 1): 1 for number in range(300)}
    async with database(tmp_path) as store:
        await store.write(lambda db: fill(db, minutes, START + 240 * MINUTE_US))
        within = Range(MINUTE, START, START + 300 * MINUTE_US)
        await store.write(lambda db: db.execute("DELETE FROM rollup WHERE step = 1").rowcount)
        await store.write(lambda db: db.execute("INSERT INTO rollup_horizon VALUES (1, 1, ?)", (START + HOUR_US,)).rowcount)
        assert (await rollups.by_series(store, [1], within))[1].ended == 300
