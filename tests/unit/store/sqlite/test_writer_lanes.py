# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whose turn it is at the writer, with the clock moved by hand, and the same on a real database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import create_database
from z4j.exceptions import StoreError
from z4j.store.sqlite.db import Connection, Store
from z4j.store.sqlite.writer_lanes import HEAVY_S, LONGEST_REST_S, RECENT_S, REST, SERVER, Job, WriterLanes


def job(lane: int, *, steps: int = 1, durable: bool = False) -> Job:
    return Job([lambda db: None] * steps, durable, lane)


def lanes_in_turn(turns: WriterLanes, cost: float) -> list[int]:
    taken = []
    while (found := turns.take(waits=False)) is not None:
        taken.append(found.lane)
        turns.charge(found.lane, cost)
    return taken


def test_a_flood_waits_behind_itself() -> None:
    turns = WriterLanes(clock=lambda: 0.0)
    for _ in range(5):
        turns.put(job(1))
    turns.put(job(2))
    turns.put(job(0))
    assert lanes_in_turn(turns, 0.01) == [1, 2, 0, 1, 1, 1, 1]


def test_in_one_lane_the_first_stays_first() -> None:
    turns = WriterLanes(clock=lambda: 0.0)
    first, second = job(1, steps=2), job(1)
    turns.put(first)
    turns.put(second)
    assert turns.take(waits=False) is first
    turns.put_back(first)
    assert turns.take(waits=False) is first
    assert turns.take(waits=False) is second
    turns.close()
    assert turns.take(waits=True) is None


def test_steps_are_short_only_while_another_app_wants_the_writer() -> None:
    now = [0.0]
    turns = WriterLanes(clock=lambda: now[0])
    turns.charge(1, 10 * HEAVY_S)
    turns.charge(0, 10 * HEAVY_S)
    assert not turns.is_contended(1), "alone; the server's own lane does not count"
    turns.charge(2, 0.001)
    assert turns.is_contended(1)
    assert not turns.is_contended(2), "it uses little"
    now[0] = RECENT_S + 1
    turns.charge(1, 10 * HEAVY_S)
    assert not turns.is_contended(1), "the other one is gone"


def test_a_heavy_app_rests_after_a_commit_while_another_one_works() -> None:
    now = [0.0]
    turns = WriterLanes(clock=lambda: now[0])
    turns.charge(2, 0.001)
    turns.put(job(1))
    turns.charge(1, 2 * HEAVY_S)
    assert turns.take(waits=False) is not None, "not before the commit"
    turns.rest()
    turns.put(job(1))
    turns.put(job(2))
    assert [found.lane for _ in range(2) if (found := turns.take(waits=False))] == [2]
    now[0] = 2 * HEAVY_S * REST
    assert turns.take(waits=False) is not None, "it has rested"


def test_an_app_that_is_alone_never_rests_nor_does_the_server() -> None:
    turns = WriterLanes(clock=lambda: 0.0)
    turns.charge(1, 10 * HEAVY_S)
    turns.charge(SERVER, 10 * HEAVY_S)
    turns.rest()
    turns.put(job(1))
    turns.put(job(SERVER))
    assert turns.take(waits=False) is not None
    assert turns.take(waits=False) is not None
    turns.charge(2, 0.001)
    turns.charge(SERVER, 10 * HEAVY_S)
    turns.rest()
    turns.put(job(SERVER))
    assert turns.take(waits=False) is not None


def test_who_waits_for_a_job_waits_until_its_app_has_rested() -> None:
    turns = WriterLanes()
    turns.charge(2, 0.001)
    turns.charge(1, 2 * HEAVY_S)
    turns.rest()
    turns.put(job(1))
    began = time.monotonic()
    assert turns.take(waits=True) is not None
    assert time.monotonic() - began > HEAVY_S


def test_a_step_that_took_very_long_is_not_followed_by_a_rest_as_long() -> None:
    now = [0.0]
    turns = WriterLanes(clock=lambda: now[0])
    turns.charge(2, 0.001)
    turns.charge(1, 5.0)
    turns.rest()
    turns.put(job(1))
    now[0] = LONGEST_REST_S
    assert turns.take(waits=False) is not None


def test_at_the_end_nobody_rests() -> None:
    turns = WriterLanes(clock=lambda: 0.0)
    turns.charge(2, 0.001)
    turns.charge(1, 100 * HEAVY_S)
    turns.rest()
    turns.put(job(1))
    turns.close()
    assert turns.take(waits=True) is not None
    assert turns.take(waits=True) is None


def test_what_was_used_is_forgotten() -> None:
    now = [0.0]
    turns = WriterLanes(clock=lambda: now[0])
    turns.charge(1, 10 * HEAVY_S)
    assert turns.is_heavy(1)
    now[0] = 4.0
    assert not turns.is_heavy(1)


def test_a_durable_one_is_known_while_it_waits() -> None:
    turns = WriterLanes()
    turns.put(job(1, durable=True))
    assert turns.has_durable
    found = turns.take(waits=False)
    assert found is not None
    assert not turns.has_durable
    turns.put_back(found)
    assert turns.has_durable


async def with_store(folder: Path, do: Callable[[Store], Any]) -> Any:
    path = folder / "z4j.db"
    create_database(path)
    store = Store(path)
    await store.start()
    try:
        return await do(store)
    finally:
        await store.close()


def test_another_app_is_committed_between_the_steps_of_a_flood(tmp_path: Path) -> None:
    async def do(store: Store) -> tuple[float, float]:
        def slow(db: Connection) -> None:
            time.sleep(0.005)

        began = time.monotonic()
        floods = [asyncio.create_task(store.write_steps([slow] * 20, lane=1)) for _ in range(20)]
        await asyncio.sleep(0.15)
        asked = time.monotonic()
        await store.write(lambda db: None, lane=2)
        took = time.monotonic() - asked
        await asyncio.gather(*floods)
        return took, time.monotonic() - began

    took, total = asyncio.run(with_store(tmp_path, do))
    assert took < total / 5


def test_steps_run_in_order_and_a_failed_one_ends_its_job_alone(tmp_path: Path) -> None:
    async def do(store: Store) -> list[Any]:
        seen: list[int] = []

        def note(number: int) -> Callable[[Connection], int]:
            def step(db: Connection) -> int:
                seen.append(number)
                return number

            return step

        def fail(db: Connection) -> int:
            raise ValueError("this step")

        good, bad = await asyncio.gather(
            store.write_steps([note(1), note(2), note(3)], lane=1),
            store.write_steps([note(4), fail, note(5)], lane=1),
            return_exceptions=True,
        )
        assert good == [1, 2, 3]
        assert isinstance(bad, ValueError)
        assert 5 not in seen
        return seen

    assert asyncio.run(with_store(tmp_path, do)) == [1, 2, 3, 4]


def test_a_commit_that_fails_fails_every_job_it_touched(tmp_path: Path) -> None:
    async def do(store: Store) -> None:
        def give_up(db: Connection) -> None:
            db.execute("ROLLBACK")  # as SQLite itself does when the disk is full
            raise OSError("disk full")

        async def many() -> list[Any]:
            steps: list[Callable[[Connection], Any]] = [lambda db: 1, give_up, lambda db: pytest.fail("ran after the failure")]
            found: list[Any] = await asyncio.gather(store.write_steps(steps, lane=1), return_exceptions=True)
            return found

        [error] = await many()
        assert isinstance(error, StoreError)
        assert await store.write(lambda db: 7) == 7

    asyncio.run(with_store(tmp_path, do))
