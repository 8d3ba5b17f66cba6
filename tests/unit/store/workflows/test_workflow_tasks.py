# SPDX-License-Identifier: AGPL-3.0-or-later
"""A workflow is read from any of its tasks, in every order in which its events may arrive, and its size is bounded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.database import SECOND, T, database, life, origin, task, tell
from z4j.store.sqlite.db import Store
from z4j.store.tasks import bulk_deletion, task_ids
from z4j.store.workflows.workflow_tasks import MOST_TASKS, WorkflowRead, read_workflow

pytestmark = pytest.mark.anyio


def sent(task_id: str, at: int, **facts: object) -> list[object]:
    """An enqueue with facts such as parent_id."""
    return task("enqueued", task_id, at, None, facts)


async def read(store: Store, task_id: str) -> WorkflowRead:
    rows = await store.fetch_all("SELECT id FROM task WHERE task_id = :id ORDER BY life = 0", {"id": task_ids.encode(task_id)})
    return await read_workflow(store, rows[-1][0])


def shown(found: WorkflowRead) -> tuple[list[str], set[tuple[str, str, str]]]:
    names = {one.id: one.task_id for one in found.workflow.tasks}
    return [one.task_id for one in found.workflow.tasks], {(names[one.source], names[one.target], one.kind) for one in found.workflow.links}


async def test_a_chain_with_a_group_is_the_same_from_each_of_its_tasks(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        records = [sent("root", T), *[sent(f"g{n}", T + n * SECOND, parent_id="root", group_id="g") for n in range(1, 4)]]
        records += [sent("body", T + 9 * SECOND, parent_id="g2"), sent("again", T + 20 * SECOND, retry_of="body"), sent("other", T)]
        await tell(store, origin(), *reversed(records))
        expected = (
            ["root", "g1", "g2", "g3", "body", "again"],
            {("root", f"g{n}", "parent") for n in range(1, 4)} | {("g2", "body", "parent"), ("body", "again", "retry_of")},
        )
        for task_id in expected[0]:
            found = await read(store, task_id)
            assert shown(found) == expected
            assert found.is_complete
        assert shown(await read(store, "other")) == (["other"], set())


async def test_states_and_durations_are_those_of_the_tasks(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), *life("a", T, "failed"), sent("b", T + 5 * SECOND, parent_id="a"))
        first, second = (await read(store, "b")).workflow.tasks
        assert (first.state, first.runtime_us, first.name, first.engine) == ("failed", 900_000, "shop.ship", "celery")
        assert (second.state, second.runtime_us) == ("queued", None)


async def test_a_task_is_shown_with_those_it_waits_for_and_what_they_came_from(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(
            store, origin(), sent("maker", T), sent("a", T + 1, parent_id="maker"), sent("b", T + 2),
            sent("c", T + 3, depends_on=["a", "b", "gone"]), sent("d", T + 4, depends_on=["c"]),
        )  # fmt: skip
        names, links = shown(await read(store, "d"))
        assert names == ["maker", "a", "b", "c", "d"]
        assert links == {("maker", "a", "parent"), ("a", "c", "depends_on"), ("b", "c", "depends_on"), ("c", "d", "depends_on")}


async def test_another_execution_of_an_id_is_no_part_of_it(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), *life("same", T), sent("first", T + 2 * SECOND, parent_id="same"))
        later = T + 900 * SECOND
        await tell(store, origin(), *life("same", later), sent("second", later + 2 * SECOND, parent_id="same"))
        assert shown(await read(store, "first"))[0] == ["same", "first"]
        assert shown(await read(store, "second"))[0] == ["same", "second"]
        assert shown(await read(store, "same"))[0] == ["same", "second"], "the newest execution"


async def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), sent("a", T, parent_id="b"), sent("b", T + 1, parent_id="a"), sent("c", T + 2, parent_id="c"))
        names, links = shown(await read(store, "a"))
        assert sorted(names) == ["a", "b"]
        assert len(links) == 1
        assert shown(await read(store, "c")) == (["c"], set())


async def test_a_large_workflow_is_cut_and_keeps_the_task_that_is_shown(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        records = [sent("root", T)] + [sent(f"t{n}", T + n, parent_id="root") for n in range(1, 1_200)]
        await tell(store, origin(), *records, sent("leaf", T + 2_000, parent_id="t1199"))
        found = await read(store, "t1199")
        names = shown(found)[0]
        assert len(names) == MOST_TASKS
        assert {"root", "t1199", "leaf"} <= set(names)
        assert not found.is_complete


async def test_a_chain_of_ninety_tasks_is_complete(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), sent("t0", T), *[sent(f"t{n}", T + n, parent_id=f"t{n - 1}") for n in range(1, 90)])
        found = await read(store, "t45")
        assert shown(found)[0] == [f"t{n}" for n in range(90)]
        assert found.is_complete


async def test_a_workflow_whose_end_was_not_reached_says_so(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        records = [sent("root", T), *[sent(f"t{n}", T + n, parent_id="root") for n in range(400)]]
        await tell(store, origin(), *records, *[sent(f"u{n}", T + 500 + n, parent_id=f"t{n}") for n in range(400)])
        found = await read(store, "t7")
        assert len(found.workflow.tasks) < 801
        assert not found.is_complete
        assert "u7" in shown(found)[0]


async def test_a_long_chain_is_cut(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), sent("t0", T), *[sent(f"t{n}", T + n, parent_id=f"t{n - 1}") for n in range(1, 300)])
        found = await read(store, "t150")
        assert not found.is_complete
        assert "t150" in shown(found)[0]
        assert len(shown(found)[0]) > 100


async def test_an_unknown_task_has_no_workflow(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        assert (await read_workflow(store, 999)).workflow.tasks == ()


async def test_a_task_is_shown_with_those_that_wait_for_it(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(
            store, origin(), sent("a", T), sent("b", T + 1, depends_on=["a"]), sent("c", T + 2, depends_on=["a", "x"]), sent("x", T + 3),
            sent("d", T + 4, depends_on=["b"]), sent("e", T + 5, parent_id="d"),
            task("enqueued", "alien", T, None, {"depends_on": ["a"]}, engine="rq"),
        )  # fmt: skip
        expected = (
            ["a", "b", "x", "c", "d", "e"],
            {("a", "b", "depends_on"), ("a", "c", "depends_on"), ("x", "c", "depends_on"), ("b", "d", "depends_on"), ("d", "e", "parent")},
        )
        for task_id in expected[0]:
            assert shown(await read(store, task_id)) == expected, task_id


async def test_members_of_a_group_find_each_other(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        group = "7d7c9a3e-0000-4000-8000-000000000001"
        records = [sent(f"m{n}", T + n, group_id=group) for n in range(4)]
        await tell(store, origin(), *records, sent("after", T + 9, parent_id="m2"), sent("solo", T, group_id="solo"))
        for task_id in ("m0", "m3", "after"):
            found = await read(store, task_id)
            names, links = shown(found)
            assert names == [group, "m0", "m1", "m2", "m3", "after"]
            assert links == {(group, f"m{n}", "group") for n in range(4)} | {("m2", "after", "parent")}
            assert [one.is_known for one in found.workflow.tasks] == [False, *[True] * 5]
        assert shown(await read(store, "solo")) == (["solo"], set())


async def test_a_group_that_a_known_task_has_sent_needs_no_other_sender(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), *[sent(f"m{n}", T + n, group_id="g", parent_id="gone") for n in range(3)])
        assert len(shown(await read(store, "m1"))[0]) == 4
        await tell(store, sent("gone", T))
        assert shown(await read(store, "m1"))[0] == ["gone", "m0", "m1", "m2"]


async def test_a_large_group_is_cut(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), *[sent(f"m{n}", T + n, group_id="g") for n in range(MOST_TASKS + 50)])
        found = await read(store, "m1")
        assert not found.is_complete
        assert len(found.workflow.tasks) <= MOST_TASKS + 1


async def test_deleted_tasks_leave_no_relations(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), sent("a", T), sent("b", T + 1, depends_on=["a"], group_id="g"))
        before = await store.fetch_all("SELECT * FROM task_relation")
        assert len(before) == 2
        [(id,)] = await store.fetch_all("SELECT max(id) FROM task")
        await store.write(lambda db: bulk_deletion.delete_tasks(db, [id]))
        assert await store.fetch_all("SELECT * FROM task_relation") == []
