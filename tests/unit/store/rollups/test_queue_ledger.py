# SPDX-License-Identifier: AGPL-3.0-or-later
"""The ledger of a queue in a real database. That it is that of the tasks, whatever the order of events, is a law
(tests/contract/test_fold_laws.py)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.support.database import SECOND, T, database, life, origin, task, tell
from z4j.rules.findings.finding import Scope
from z4j.rules.history.queue_ledger import LedgerHour
from z4j.rules.rollups import HOUR_US, MINUTE_US
from z4j.store.rollups import queue_ledger
from z4j.store.sqlite.db import Store

pytestmark = pytest.mark.anyio
HOUR = T // HOUR_US * HOUR_US
FIRST = HOUR + 10 * MINUTE_US
SHOP = Scope("shop", "production", "celery")


async def read(store: Store, queue: str = "work", scope: Scope = SHOP) -> list[LedgerHour]:
    return await queue_ledger.read_ledger(store, scope, queue, 0)


async def test_each_task_is_counted_once_in_the_hour_it_was_first_seen(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(
            store, origin(), *life("done", FIRST), *life("bad", FIRST, "failed"), task("enqueued", "waits", FIRST),
            *life("later", FIRST + HOUR_US)[:1], task("enqueued", "runs", FIRST), task("started", "runs", FIRST + SECOND),
            task("enqueued", "got", FIRST), task("received", "got", FIRST + SECOND),
        )  # fmt: skip
        assert await read(store) == [
            LedgerHour(HOUR, sent=5, queued=1, waiting=1, running=1, ended=2), LedgerHour(HOUR + HOUR_US, sent=1, queued=1)
        ]  # fmt: skip
        await tell(store, *life("waits", FIRST)[1:], *life("later", FIRST + HOUR_US)[1:])
        assert await read(store) == [
            LedgerHour(HOUR, sent=5, waiting=1, running=1, ended=3), LedgerHour(HOUR + HOUR_US, sent=1, ended=1)
        ]  # fmt: skip
        assert await read(store, "other") == await read(store, scope=SHOP._replace(environment="")) == []


async def test_a_task_without_a_report_of_its_enqueue_is_apart_until_that_arrives(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), *life("one", FIRST)[1:])
        assert await read(store) == [LedgerHour(HOUR, unmonitored=1)]
        await tell(store, *life("one", FIRST)[:1])
        assert await read(store) == [LedgerHour(HOUR, sent=1, ended=1)]


async def test_old_hours_are_deleted_and_not_created_again(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), *life("one", FIRST), *life("two", FIRST + 2 * HOUR_US), at=T + 4 * HOUR_US)
        assert not await store.write(partial(queue_ledger.delete_old, before=HOUR + HOUR_US))
        assert [hour.at for hour in await read(store)] == [HOUR + 2 * HOUR_US]
        assert await queue_ledger.read_beginning(store) == HOUR + HOUR_US
        await tell(store, *life("late", FIRST), *life("three", FIRST + 3 * HOUR_US), at=T + 4 * HOUR_US)
        assert [hour.at for hour in await read(store)] == [HOUR + 2 * HOUR_US, HOUR + 3 * HOUR_US]


async def test_the_oldest_queued_tasks_of_a_queue(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        queued = [task("enqueued", f"q{n}", FIRST + n * SECOND, queue="a" if n % 2 else "b") for n in range(6)]
        await tell(store, origin(), *queued, *life("done", FIRST, queue="a"))
        listed = await queue_ledger.list_queued(store, SHOP, "a", 0, 2)
        assert [(each.task_id, each.name, each.first_at) for each in listed] == [
            ("q1", "shop.ship", FIRST + SECOND), ("q3", "shop.ship", FIRST + 3 * SECOND)
        ]  # fmt: skip
        assert [each.task_id for each in await queue_ledger.list_queued(store, SHOP, "a", FIRST + 2 * SECOND, 9)] == ["q3", "q5"]
