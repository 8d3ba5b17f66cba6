# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.database import SECOND, T, database, life, origin, tell
from z4j.rules.tasks.states import STATES
from z4j.store.sqlite.db import Store
from z4j.store.tasks import task_search
from z4j.store.tasks.task_search import BAD_ENDS, TaskFilter, find

pytestmark = pytest.mark.anyio

SUCCEEDED, OTHERS = 40, 50


async def fill(store: Store) -> None:
    """Three tasks that failed, the oldest, then many that succeeded, all of one name, queue and worker; then many of others that failed."""
    records = [origin(worker="w1"), origin("b2", worker="w2")]
    for number, end in enumerate(("failed", "failed", "failed")):
        records += life(f"bad{number}", T + number * SECOND, end, name="shop.pay", queue="slow")
    for number in range(SUCCEEDED):
        records += life(f"good{number}", T + (10 + number) * SECOND, name="shop.pay", queue="slow")
    for number in range(OTHERS):
        failed = life(f"other{number}", T + (100 + number) * SECOND, "failed", name="shop.other", queue="fast")
        records += [[*record[:5], "b2.9", *record[6:]] for record in failed]
    await tell(store, *records)


@pytest.mark.parametrize(
    "f",
    [
        TaskFilter(name="shop.pay", states=("failed",)),
        TaskFilter(queue="slow", states=("failed",)),
        TaskFilter(worker="w1", states=("failed",)),
        TaskFilter(worker="w1", queue="slow", name="shop.pay", states=("failed", "lost")),
    ],
)
async def test_a_task_that_ended_badly_is_the_first_row_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, f: TaskFilter
) -> None:
    """The search may read one row and no more, and many tasks of the same name, queue, worker or state are newer."""
    monkeypatch.setattr(task_search, "WALK_US", -1)
    monkeypatch.setattr(task_search, "LOOK_EVERY", 1)
    async with database(tmp_path) as store:
        await fill(store)
        found = await find(store, f, None, None, 5)
        assert len(found.ids) == 1
        assert found.searched_to == T + 2 * SECOND


async def test_states_that_did_not_end_badly_are_still_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_search, "WALK_US", 60_000_000)
    async with database(tmp_path) as store:
        await fill(store)
        every = await find(store, TaskFilter(name="shop.pay", states=("failed", "succeeded")), None, None, 100)
        assert len(every.ids) == SUCCEEDED + 3


async def test_the_indexes_hold_exactly_the_states_of_the_search(tmp_path: Path) -> None:
    """As a range: SQLite builds a table for a longer list at each statement that changes a task, which took 120 µs of ingest per task."""
    async with database(tmp_path) as store:
        with closing(sqlite3.connect(store.path)) as db:
            every = [
                row[0] for row in db.execute("SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'task' AND sql IS NOT NULL")
            ]
    assert {code for code in STATES.values() if 5 < code < 12} == BAD_ENDS
    assert sum("WHERE state > 5 AND state < 12" in text for text in every) == 3
    assert not [text for text in every if re.search(r" IN \(\d+, \d+, ", text)]
