# SPDX-License-Identifier: AGPL-3.0-or-later
"""The writer remembers tasks without an end, and adds what was just enqueued without a look: neither may change what is stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.contents import connect, contents, recount
from tests.support.database import SECOND, T, database, life, origin, task, tell
from z4j.store.sqlite.db import Connection, Store
from z4j.store.sqlite.writer import ROWS
from z4j.store.tasks import bulk_deletion, task_writer
from z4j.store.tasks.tasks import TaskFilter, list_tasks

pytestmark = pytest.mark.anyio


async def states(store: Store) -> list[tuple[str, str]]:
    return sorted((row.task_id, row.state) for row in (await list_tasks(store, TaskFilter())).rows)


def is_counted(store: Store) -> bool:
    db = connect(store.path)
    kept, counted = recount(db)
    contents(db)
    db.close()
    return kept == counted


async def test_news_of_a_task_that_was_deleted_meanwhile_make_a_row_again(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), task("enqueued", "a", T), task("enqueued", "b", T))
        [id] = (await store.fetch_all("SELECT id FROM task WHERE task_id = ?1", {"1": b"\0a"}))[0]
        await store.write(lambda db: bulk_deletion.delete_tasks(db, [id]))
        await tell(store, task("started", "a", T + SECOND), task("started", "b", T + SECOND))
        assert await states(store) == [("a", "running"), ("b", "running")]
        assert is_counted(store)


async def test_what_is_enqueued_again_after_a_restart_is_the_same_row(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), *life("a", T), task("enqueued", "b", T))
        await store.write(Connection.forget)
        told = await tell(store, *life("a", T), task("enqueued", "b", T), task("enqueued", "c", T + SECOND))
        assert told.topics == {"tasks", "queues", "strip"}
        assert await states(store) == [("a", "succeeded"), ("b", "queued"), ("c", "queued")]
        await store.write(Connection.forget)
        assert (await tell(store, *life("a", T), task("enqueued", "b", T))).topics == frozenset()
        assert is_counted(store)


async def test_only_so_many_tasks_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_writer, "OPEN_LIMIT", 2)
    async with database(tmp_path) as store:
        await tell(store, origin(), *(task("enqueued", f"t{number}", T) for number in range(5)))
        assert await store.write(lambda db: len(db.recall("open tasks"))) == 2
        await tell(store, *(record for number in range(5) for record in life(f"t{number}", T)[1:]))
        assert await states(store) == [(f"t{number}", "succeeded") for number in range(5)]
        assert await store.write(lambda db: len(db.recall("open tasks"))) == 0
        assert is_counted(store)


@pytest.mark.parametrize("count", [ROWS - 1, ROWS, 2 * ROWS + 7])
async def test_many_rows_at_a_time_are_stored_as_each_alone(tmp_path: Path, count: int) -> None:
    """New tasks, their starts and their ends in a batch each, a few of them failed and a few enqueued twice; then every record alone."""
    lives = [life(f"t{number}", T + number, "failed" if number % 9 == 0 else "succeeded") for number in range(count)]
    batches = [[each[part] for each in lives for part in parts] for parts in ((0,), (1, 2), (3,), (0, 3))]
    found = []
    for name, told in (("many", batches), ("single", [[record] for batch in batches for record in batch])):
        (tmp_path / name).mkdir()
        async with database(tmp_path / name) as store:
            await tell(store, origin())
            for batch in told:
                await tell(store, *batch)
            assert is_counted(store)
            db = connect(store.path)
            found.append(contents(db))
            db.close()
    assert found[0] == found[1]
    assert len(found[0]["tasks"]) == count
