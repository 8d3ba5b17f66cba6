# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import SECOND, T, database, life, origin, task, tell
from z4j.exceptions import BadInput
from z4j.store.sqlite.db import Store
from z4j.store.tasks import task_search
from z4j.store.tasks.counters import count_scopes
from z4j.store.tasks.tasks import TaskFilter, count_tasks, get_task, list_tasks

pytestmark = pytest.mark.anyio


async def fill(store: Store, tasks: int = 60) -> None:
    """Sixty tasks a second apart, newest "t059": every third failed, every fifth on "slow", every 20th runs, every 6th by w2."""
    records = [origin(), origin("b2", worker="w2", environment="staging")]
    for number in range(tasks):
        at = T + number * SECOND
        head: dict[str, Any] = {"queue": "slow" if number % 5 == 0 else "fast", "name": f"shop.n{number % 2}"}
        run = "b2.9" if number % 6 == 0 else "b00t.7"
        if number % 20 == 0:
            records.append(task("started", f"t{number:03}", at, run=run, **head))
        else:
            told = life(f"t{number:03}", at, "failed" if number % 3 == 0 else "succeeded", **head)
            told[0][-1] = {"label": "nightly"} if number % 7 == 0 else None
            records += [[*record[:5], run, *record[6:]] for record in told]
    await tell(store, *records)


async def walk(store: Store, f: TaskFilter, limit: int = 7) -> list[str]:
    """Every page of a list, from the newest to the oldest and all the way back, checked to show the same."""
    down, cursor = [], None
    while True:
        page = await list_tasks(store, f, older=cursor, limit=limit)
        down.append([row.task_id for row in page.rows])
        assert len(page.rows) <= limit
        if page.older is None:
            break
        cursor = page.older
    up = [down[-1]]
    while page.newer is not None:
        page = await list_tasks(store, f, newer=page.newer, limit=limit)
        if page.rows:
            up.append([row.task_id for row in page.rows])
    assert [id for rows in reversed(up) for id in rows] == [id for rows in down for id in rows]
    return [id for rows in down for id in rows]


FILTERS: dict[str, tuple[TaskFilter, Callable[[int], object]]] = {
    "all": (TaskFilter(), lambda n: True),
    "failed": (TaskFilter(states=("failed",)), lambda n: n % 3 == 0 and n % 20),
    "failed or running": (TaskFilter(states=("failed", "running")), lambda n: n % 3 == 0 or n % 20 == 0),
    "queue": (TaskFilter(queue="slow"), lambda n: n % 5 == 0),
    "name": (TaskFilter(name="shop.n1"), lambda n: n % 2 == 1),
    "worker": (TaskFilter(worker="w2"), lambda n: n % 6 == 0),
    "environment": (TaskFilter(environment="staging"), lambda n: n % 6 == 0),
    "app and engine": (TaskFilter(app="SHOP", engine="celery"), lambda n: True),
    "name, queue and state": (
        TaskFilter(name="shop.n1", queue="slow", states=("succeeded",)),
        lambda n: n % 2 == 1 and n % 5 == 0 and n % 3 and n % 20,
    ),
    "worker and queue": (TaskFilter(worker="w1", queue="slow"), lambda n: n % 6 and n % 5 == 0),
    "since and until": (TaskFilter(since=T + 10 * SECOND, until=T + 30 * SECOND), lambda n: 10 <= n < 30),
    "state since": (TaskFilter(states=("running",), since=T + 21 * SECOND), lambda n: n == 40),
    "label": (TaskFilter(label="nightly"), lambda n: n % 7 == 0 and n % 20),
    "label, name and state": (
        TaskFilter(label="nightly", name="shop.n1", states=("failed",)),
        lambda n: n % 7 == 0 and n % 2 and n % 3 == 0,
    ),
    "name and failed": (TaskFilter(name="shop.n0", states=("failed",)), lambda n: n % 6 == 0 and n % 20),
    "queue and failed or cancelled": (TaskFilter(queue="slow", states=("failed", "cancelled")), lambda n: n % 15 == 0 and n % 20),
    "worker and failed": (TaskFilter(worker="w2", states=("failed",)), lambda n: n % 6 == 0 and n % 20),
    "worker, name, queue and failed": (
        TaskFilter(worker="w1", name="shop.n1", queue="fast", states=("failed", "lost")),
        lambda n: n % 6 == 3 and n % 5 and n % 20,
    ),
    "no such label": (TaskFilter(label="never"), lambda n: False),
    "no such queue": (TaskFilter(queue="never"), lambda n: False),
    "no such app": (TaskFilter(app="never"), lambda n: False),
    "nothing together": (TaskFilter(states=("lost",), queue="slow"), lambda n: False),
    "nothing in this environment": (TaskFilter(environment="production", worker="w2"), lambda n: False),
}


@pytest.mark.parametrize("name", FILTERS)
async def test_filters_and_pages_both_ways(tmp_path: Path, name: str) -> None:
    f, matches = FILTERS[name]
    async with database(tmp_path) as store:
        await fill(store)
        assert await walk(store, f) == [f"t{number:03}" for number in reversed(range(60)) if matches(number)]


async def test_new_tasks_do_not_move_a_page(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await fill(store, 30)
        first = await list_tasks(store, TaskFilter(), limit=10)
        await tell(store, *life("new", T + 100 * SECOND))
        second = await list_tasks(store, TaskFilter(), older=first.older, limit=10)
        assert [row.task_id for row in second.rows] == [f"t{number:03}" for number in range(19, 9, -1)]
        assert second.newer is not None
        back = await list_tasks(store, TaskFilter(), newer=second.newer, limit=10)
        assert [row.task_id for row in back.rows] == [row.task_id for row in first.rows]
        assert back.newer is not None
        top = await list_tasks(store, TaskFilter(), newer=back.newer, limit=10)
        assert [row.task_id for row in top.rows] == ["new"]


async def test_tasks_of_one_moment_are_not_skipped(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, *(task("enqueued", f"t{number}", T) for number in range(25)))
        assert len(set(await walk(store, TaskFilter()))) == 25
        assert len(set(await walk(store, TaskFilter(states=("queued",)), limit=1))) == 25


async def test_a_sparse_search_stops_and_can_be_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_search, "WALK_US", -1)
    monkeypatch.setattr(task_search, "LOOK_EVERY", 1)
    async with database(tmp_path) as store:
        await fill(store)
        f = TaskFilter(name="shop.n0", environment="staging", states=("succeeded", "failed", "running"))
        found: list[str] = []
        cursor, stops = None, 0
        while True:
            page = await list_tasks(store, f, older=cursor, limit=2)
            found += [row.task_id for row in page.rows]
            stops += page.searched_to is not None
            cursor = page.older
            if cursor is None:
                break
            assert page.searched_to is None or page.searched_to == int(cursor.split("-")[0])
        assert found == [f"t{number:03}" for number in reversed(range(60)) if number % 6 == 0]
        assert stops
        up = await list_tasks(store, f, newer=task_search.cursor((T, 0)), limit=2)
        while up.newer is not None and not up.rows:
            up = await list_tasks(store, f, newer=up.newer, limit=2)
        assert up.rows


async def test_by_task_id(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, *life("a", T), *life("a", T + 5, engine="rq"), *life("b", T))

        async def found(**f: Any) -> list[tuple[str, str]]:
            rows = (await list_tasks(store, TaskFilter(**f))).rows
            return [(row.engine, row.task_id) for row in rows]

        assert await found(task_id="a") == [("rq", "a"), ("celery", "a")]
        assert await found(task_id="a", engine="celery") == [("celery", "a")]
        assert await found(task_id="a", since=T + 1) == [("rq", "a")]
        assert await found(task_id="a", until=T + 1) == [("celery", "a")]
        assert await found(task_id="none") == []
        assert await found(task_id="\ud800") == []


@pytest.mark.parametrize("cursor", ["", "1", "x-y", "1-2-3", "-", "9" * 50 + "-1", "1-²"])
async def test_a_cursor_that_is_none(tmp_path: Path, cursor: str) -> None:
    async with database(tmp_path) as store:
        if cursor:
            with pytest.raises(BadInput):
                await list_tasks(store, TaskFilter(), older=cursor)
        assert (await list_tasks(store, TaskFilter(), older=f"{1 << 90}-0")).rows == []


async def test_a_state_that_is_none(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        with pytest.raises(BadInput, match="borrowed"):
            await list_tasks(store, TaskFilter(states=("borrowed",)))


async def test_a_task_that_is_none(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        assert await get_task(store, 1) is None


async def test_facets_count_exactly_and_ignore_their_own_filter(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await fill(store)
        whole, scopes = await count_tasks(store, TaskFilter()), await count_scopes(store)
        assert whole is not None
        of = ("by_app", "by_environment", "by_engine")
        assert [getattr(scopes, name) for name in of] == [getattr(whole, name) for name in of]
        counts = await count_tasks(store, TaskFilter(states=("running",)))
        assert counts is not None
        assert dict(counts.by_state) == {"succeeded": 38, "failed": 19, "running": 3}
        assert counts.by_name == [("shop.n0", 3)]
        assert counts.by_queue == [("slow", 3)]
        assert dict(counts.by_environment) == {"production": 2, "staging": 1}
        assert counts.by_app == [("shop", 3)]
        assert counts.by_engine == [("celery", 3)]
        narrowed = await count_tasks(store, TaskFilter(queue="slow", name="shop.n1"))
        assert narrowed is not None
        assert sum(n for _, n in narrowed.by_state) == 6
        assert narrowed.by_name == [("shop.n0", 6), ("shop.n1", 6)]
        empty = await count_tasks(store, TaskFilter(queue="never"))
        assert empty is not None
        assert empty.by_state == []
        for f in (TaskFilter(worker="w1"), TaskFilter(task_id="t001"), TaskFilter(since=1), TaskFilter(until=1)):
            assert await count_tasks(store, f) is None
