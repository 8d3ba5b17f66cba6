# SPDX-License-Identifier: AGPL-3.0-or-later
"""Log lines: once, in any order, with their task, found by their words, and within their limits."""

from __future__ import annotations

import itertools
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import SECOND, T, database, life, origin, task, tell
from tests.unit.background.test_word_index import found, settle, shift
from z4j.background.retention import RetentionDuty
from z4j.background.word_index import WordIndexDuty
from z4j.clock import DAY_US
from z4j.store.logs import log_deletion
from z4j.store.logs.log_lines import MAX_LINES, LogRun, read_log
from z4j.store.sqlite.db import Store
from z4j.store.tasks import bulk_deletion
from z4j.store.tasks.bulk_deletion import Retention
from z4j.store.tasks.tasks import TaskFilter, list_tasks

pytestmark = pytest.mark.anyio
__all__ = ["shift"]
STARTED = T + 2 * SECOND


def line(number: int, message: str = "charging", level: int = 20, task_id: str = "a", dropped: int = 0, **head: Any) -> list[Any]:
    started_at = head.pop("started_at", STARTED)
    return task("logged", task_id, started_at + number, started_at, number, level, "shop.orders", message, dropped, **head)


async def messages(store: Store, row: int = 1, **narrowed: Any) -> list[str]:
    return [each.message for run in await read_log(store, row, **narrowed) for each in run.lines]


async def test_lines_belong_to_their_run(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        again: dict[str, Any] = {"attempt": 1, "started_at": T + 9 * SECOND}
        topics = (await tell(store, origin(), *life("a", T), line(0), line(1, "charged", 30), line(0, "again", **again))).topics
        assert "tasks" in topics
        await tell(store, line(7, "", 0, dropped=412))
        first, second = await read_log(store, 1)
        assert isinstance(first, LogRun)
        assert (first.attempt, first.run, first.host, first.started_at, first.total, first.dropped) == (0, "b00t.7", "h1", STARTED, 2, 412)
        assert [(each.seq, each.at - STARTED, each.level, each.logger) for each in first.lines] == [
            (0, 0, 20, "shop.orders"), (1, 1, 30, "shop.orders"),
        ]  # fmt: skip
        assert (second.attempt, [each.message for each in second.lines]) == (1, ["again"])
        assert await messages(store, level=30) == ["charged"]
        assert await messages(store, limit=1) == ["charged", "again"], "the last ones of each run"
        assert await messages(store, run=first.id) == ["charging", "charged"]


async def test_every_order_and_copies_store_the_same(tmp_path: Path) -> None:
    records = [line(0), line(1, "b"), line(1, "a"), line(3, "", 0, dropped=2)]
    seen = set()
    for number, order in enumerate(itertools.permutations(records)):
        (tmp_path / str(number)).mkdir()
        async with database(tmp_path / str(number)) as store:
            await tell(store, origin(), *life("a", T))
            for record in (*order, order[0]):
                await tell(store, record)
            [run] = await read_log(store, 1)
            [used] = await log_deletion.list_usage(store)
            seen.add((run.total, run.dropped, run.last_at, *(each.message for each in run.lines), used.lines, used.bytes))
        if number == 7:
            break
    assert seen == {(2, 2, STARTED + 3, "charging", "b", 2, 2 * (40 + 11) + 9)}


async def test_lines_that_arrive_before_their_task_are_shown_with_it(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), line(0))
        await tell(store, *life("a", T))
        assert await messages(store) == ["charging"]


async def test_each_execution_of_a_reused_id_has_its_own(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        later = T + 3_600 * SECOND
        await tell(store, origin(), *life("a", T), *life("a", later), line(0, "first"), at=later + DAY_US)
        await tell(store, line(0, "second", started_at=later + 2 * SECOND), at=later + DAY_US)
        rows = {row.first_at: row.id for row in (await list_tasks(store, TaskFilter())).rows}
        assert await messages(store, rows[T]) == ["first"]
        assert await messages(store, rows[later]) == ["second"]


async def test_a_run_has_a_limit(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), *life("a", T), line(MAX_LINES - 1, "last"), line(MAX_LINES, "beyond"), line(5_000, "far beyond"))
        assert await messages(store) == ["last"]


async def test_secrets_of_an_agent_without_redaction_are_masked(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), *life("a", T), line(0, "password=hunter2hunter2"))
        assert await messages(store) == ["password=•••"]


async def test_lines_are_deleted_with_their_task(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), *life("a", T), *life("b", T), line(0), line(0, task_id="b"))
        await store.write(lambda db: bulk_deletion.delete_tasks(db, [1]))
        assert [used.lines for used in await log_deletion.list_usage(store)] == [1]
        assert await messages(store, 2) == ["charging"]
        await store.write(lambda db: bulk_deletion.delete_tasks(db, [2]))
        assert await log_deletion.list_usage(store) == []


async def test_old_lines_and_the_oldest_of_an_app_are_deleted(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        for number in range(10):
            await tell(store, origin(), line(0, "x" * 960, task_id=f"t{number}", started_at=T + number * SECOND))
        duty = RetentionDuty(store, lambda topics: None, Retention(days=30, max_bytes=40_000_000))
        await duty.round(T + 60 * SECOND)
        assert [used.lines for used in await log_deletion.list_usage(store)] == [10]
        assert await store.write(partial(log_deletion.delete_oldest, app_id=1, over=2_000, seconds=1.0)) == (2, 2 * 1_011)
        assert await store.write(partial(log_deletion.delete_old, before=T + 4 * SECOND, seconds=1.0)) == (True, 2)
        await duty.round(T + 40 * DAY_US)
        assert await log_deletion.list_usage(store) == []


async def test_an_app_may_use_a_part_of_the_size_limit(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        runs = [line(0, "x" * 960, task_id=f"t{number}", started_at=T + number * SECOND) for number in range(400)]
        await tell(store, origin(), *runs)
        await RetentionDuty(store, lambda topics: None, Retention(days=30, max_bytes=3_000_000)).round(T + 60 * SECOND)
        [used] = await log_deletion.list_usage(store)
        assert 290_000 <= used.bytes <= 300_000, "a tenth"


async def test_a_task_is_found_by_the_words_of_its_lines(tmp_path: Path, shift: list[int]) -> None:
    async with database(tmp_path) as store:
        duty = WordIndexDuty(store)
        await tell(store, origin(), *life("a", T), *life("b", T), line(0, "charging customer 8123"))
        await settle(duty, shift)
        assert await found(store, "customer") == ["a"]
        assert await found(store, '"charging customer"') == ["a"]
        assert await found(store, "ship -customer") == ["b"]
        await tell(store, line(0, "declined by the bank", task_id="b"), line(1, "", 0, "b"))
        await settle(duty, shift)
        assert await found(store, "declined") == ["b"]
        assert await found(store, "nobody") == []


async def test_many_lines_are_indexed_a_few_times(tmp_path: Path, shift: list[int]) -> None:
    async with database(tmp_path) as store:
        duty = WordIndexDuty(store)
        await tell(store, origin(), *life("a", T))
        await settle(duty, shift)
        before = duty.indexed
        for number in range(40):
            await tell(store, line(number, f"number{number}"))
            await settle(duty, shift)
        assert duty.indexed - before <= 7
        await tell(store, line(40, "", 0))
        await settle(duty, shift)
        assert await found(store, "number39") == ["a"]
