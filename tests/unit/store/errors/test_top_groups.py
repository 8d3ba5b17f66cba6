# SPDX-License-Identifier: AGPL-3.0-or-later
"""The errors with the most failures of a name, a queue or a worker, and the tasks that an error leads to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.database import SECOND, T, database, origin, task, tell
from z4j.exceptions import BadInput
from z4j.rules.errors.splits import MESSAGE, Split
from z4j.rules.queries.parse import parse
from z4j.store.errors import error_actions, error_splits, top_groups
from z4j.store.search.conditions import TaskFilter
from z4j.store.sqlite.db import Store
from z4j.store.tasks import task_search
from z4j.store.tasks.counters import count_tasks
from z4j.store.tasks.tasks import list_tasks

pytestmark = pytest.mark.anyio
BAD = ("failed", "lost", "rejected")


def failed(id: str, error: str = "OneError", at: int = T, kind: str = "failed", message: str = "no", **head: Any) -> list[Any]:
    times = [at, at, 9] if kind == "failed" else [at, 9, None]
    return task(kind, id, at, *times, "", error, message, "", **head)


async def some(store: Store) -> None:
    """Group 1: a, b, and an attempt of c, which TwoError ended; group 2: c; group 3: an attempt of d, which succeeded."""
    await tell(store, origin(), origin("b2", worker="w2", release="2.0"), failed("a"), failed("b", at=T + 5, name="mail.send", run="b2.7"))
    await tell(store, failed("c", at=T + 6, kind="retried"), failed("c", "TwoError", T + 8, attempt=1, queue="slow"))
    await tell(store, failed("d", "ThreeError", T + 9, "retried"), failed("d", "ThreeError", T + 10, "retried", attempt=1))
    await tell(store, task("succeeded", "d", T + 12, T, T, 9, "1", attempt=2))


async def top(store: Store, also: str = "", **f: Any) -> list[tuple[int, int, int]]:
    return [(group.id, group.failed, group.attempts) for group in await top_groups.list_top(store, TaskFilter(**f), 9, also)]


async def found(store: Store, query: str = "", **f: Any) -> list[str]:
    parsed = parse(query)
    page = await list_tasks(store, TaskFilter(terms=parsed.terms, order=parsed.order, **f))
    return [row.task_id for row in page.rows]


async def test_the_groups_with_the_most_failures_come_first(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await some(store)
        assert await top(store) == [(1, 2, 1), (2, 1, 0), (3, 0, 2)]
        assert await top(store, name="mail.send") == [(1, 1, 0)]
        assert await top(store, queue="slow") == [(2, 1, 0), (1, 0, 1)]  # the task was sent there again
        assert await top(store, queue="slow", also="7") == [(2, 1, 0), (1, 0, 1)]
        assert (await top(store, also="3"))[0] == (3, 0, 2)
        assert await top(store, app="shop", environment="production", engine="celery") == await top(store)
        for nothing in ({"app": "no"}, {"environment": "staging"}, {"engine": "rq"}):
            assert await top(store, **nothing) == []
        assert [group.where for group in await top_groups.list_top(store, TaskFilter(), 9)] == ["2 task names", "shop.ship", "shop.ship"]
        [one] = await top_groups.named(store, "1")
        assert (one.title, one.state, one.failed) == ("OneError: no", "unresolved", 0)
        assert await top_groups.named(store, "9") == await top_groups.named(store, "odd") == []
        assert await top_groups.newest_releases(store, [1, 2, 3]) == {1: "2.0", 2: "1.0"}


async def test_of_a_worker_its_newest_failed_tasks_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with database(tmp_path) as store:
        await some(store)
        groups, read, is_more = await top_groups.list_top_of_worker(store, TaskFilter(worker="w1"), 9)
        assert {group.where for group in groups} == {"shop.ship"}
        assert ([(group.id, group.failed) for group in groups], read, is_more) == ([(2, 1), (1, 1)], 2, False)
        assert (await top_groups.list_top_of_worker(store, TaskFilter(worker="w2"), 9))[1] == 1
        monkeypatch.setattr(top_groups, "TASKS", 1)
        assert (await top_groups.list_top_of_worker(store, TaskFilter(worker="w1"), 9))[1:] == (1, True)
        assert (await top_groups.list_top_of_worker(store, TaskFilter(worker="none"), 9))[0] == []


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("error_group:1", ["b", "a"]),  # what ended c is another one
        ("error_group:2", ["c"]),
        ("error_group:3", ["d"]),  # once, though two attempts failed
        ("error_group:3 state:failed", []),
        ("error_group:1,2", ["c", "b", "a"]),
        ("error_group:1 name:mail.send", ["b"]),
        ("error_group:1 -worker:w2", ["a"]),
        ("-error_group:1", ["d", "c"]),
        ("-error_group:1 state:failed", ["c"]),
        ("error_group:1 -error_group:2", ["b", "a"]),
        ("error_group:9", []),
        ("-error_group:9 state:failed", ["c", "b", "a"]),
        ("error_group:1 order:ran", ["b", "a"]),
    ],
)
async def test_tasks_of_an_error(tmp_path: Path, query: str, ids: list[str]) -> None:
    async with database(tmp_path) as store:
        await some(store)
        assert await found(store, query) == ids


async def test_the_filter_of_an_error_is_right_after_merge_and_split(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await some(store)
        await store.write(lambda db: error_actions.merge(db, 1, 2))
        for group in ("1", "2"):  # a link to the merged one leads to what shows it
            assert await found(store, error_group=group) == ["c", "b", "a"]
        await store.write(lambda db: error_actions.merge(db, 2, 3))
        assert await found(store, error_group="1") == ["d", "c", "b", "a"]
        await store.write(lambda db: error_actions.split(db, 2, 3))
        await store.write(lambda db: error_actions.split(db, 1, 2))
        assert await found(store, error_group="1") == ["b", "a"]
        await tell(store, failed("e", message="in 'us'", at=T + 20), failed("f", message="in 'eu'", at=T + 21))
        [(group,)] = await store.fetch_all("SELECT id FROM error_group WHERE message = 'in'")
        part = await store.write(lambda db: error_splits.split_off(db, group, Split(MESSAGE, "*'us'")))
        assert (await found(store, error_group=str(group)), await found(store, error_group=str(part))) == (["f"], ["e"])


async def test_an_error_with_many_tasks_is_paged_by_the_time_of_the_failure(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), *(task("enqueued", f"t{n}", T + n) for n in range(20)))
        await tell(store, *(failed(f"t{n}", at=T + (99 - n) * SECOND) for n in range(20)))
        seen: list[str] = []
        older = None
        while True:
            page = await list_tasks(store, TaskFilter(error_group="1"), older=older, limit=6)
            seen += [row.task_id for row in page.rows]
            older = page.older
            if older is None:
                break
        assert seen == [f"t{n}" for n in range(20)]
        first = await list_tasks(store, TaskFilter(error_group="1"), limit=6)
        await tell(store, failed("new", at=T + 200 * SECOND))
        assert first.first is not None
        newer = await list_tasks(store, TaskFilter(error_group="1"), newer=first.first, limit=6)
        assert [row.task_id for row in newer.rows] == ["new"]
        second = await list_tasks(store, TaskFilter(error_group="1"), older=first.older, limit=6)
        back = await list_tasks(store, TaskFilter(error_group="1"), newer=second.newer, limit=6)
        assert [row.task_id for row in back.rows] == [row.task_id for row in first.rows]
        early = await list_tasks(store, TaskFilter(error_group="1", since=T + 3, until=T + 6))
        assert [row.task_id for row in early.rows] == ["t3", "t4", "t5"]


async def test_an_error_of_many_fingerprints_is_a_condition_only(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        errors = [f"Error{'x' * n}" for n in range(task_search.MAX_STREAMS // 3 + 1)]
        await tell(store, origin(), *(failed(error, error, T + n) for n, error in enumerate(errors)), failed("other", "OtherError", T + 99))
        for group in range(2, len(errors) + 1):
            await store.write(lambda db, group=group: error_actions.merge(db, group, 1))  # type: ignore[misc]
        assert await found(store, error_group="1") == errors[::-1]


async def test_what_is_no_number_is_refused_and_no_counter_answers(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await some(store)
        with pytest.raises(BadInput, match="not the number of an error"):
            await list_tasks(store, TaskFilter(error_group="x"))
        assert await count_tasks(store, TaskFilter(error_group="1")) is None
